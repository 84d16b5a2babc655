//! `serve`: Compass and a cluster, up for hand work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::signals::ended;
use super::{Exit, Terminal, Tone, agent_file};
use crate::compass::LandscapeFile;
use crate::engine::{World, WorldPlan};
use crate::scenario::words::TokenWord;

/// Keep Compass and a cluster up for hand work, and print what an agent needs.
///
/// Everything listens on loopback and is gone at the end (Ctrl-C or SIGTERM).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Agent file that names the Secrets; `reference` is the one that is built in.
    #[arg(long, value_name = "FILE", default_value = agent_file::REFERENCE, env = "COMPASS_HARNESS_AGENT")]
    agent: String,
    /// Print one line of JSON instead of prose.
    #[arg(long)]
    json: bool,
}

/// What an agent needs, as printed by `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    kubeconfig: PathBuf,
    ca_file: PathBuf,
    connector_url: String,
    secured_connector_url: String,
    director_url: String,
    kubernetes_url: String,
    runtime_id: String,
    tenant: String,
    token: String,
    environment: BTreeMap<&'static str, PathBuf>,
}

pub(super) async fn run(args: Args, terminal: &Terminal) -> Exit {
    let agent = match agent_file::load(&args.agent) {
        Ok(agent) => agent,
        Err(error) => {
            terminal.report(&error);
            return Exit::Invalid;
        }
    };
    let plan = WorldPlan {
        agent: &agent.content,
        landscape: LandscapeFile::default(),
        token: TokenWord::OneTime,
    };
    // Listened for before anything starts, so that an early signal cleans up as well.
    let ended = match ended() {
        Ok(ended) => ended,
        Err(error) => {
            terminal.error(&error);
            return Exit::NotJudged;
        }
    };
    tokio::pin!(ended);
    let world = tokio::select! {
        world = World::build(plan) => match world {
            Ok(world) => world,
            Err(error) => {
                terminal.error(&error);
                return Exit::NotJudged;
            }
        },
        exit = &mut ended => return exit,
    };
    let token = match world.issue_token() {
        Ok(token) => token,
        Err(error) => {
            terminal.error(&error);
            return Exit::Harness;
        }
    };
    let told = Told {
        kubeconfig: world.access.kubeconfig.clone(),
        ca_file: world.access.ca_file.clone(),
        connector_url: world.access.compass.token_connector.clone(),
        secured_connector_url: world.access.compass.connector.clone(),
        director_url: world.access.compass.director.clone(),
        kubernetes_url: world.access.kubernetes.clone(),
        runtime_id: world.access.runtime_id.clone(),
        tenant: world.access.tenant.clone(),
        token,
        environment: BTreeMap::from([
            ("KUBECONFIG", world.access.kubeconfig.clone()),
            ("SSL_CERT_FILE", world.access.ca_file.clone()),
        ]),
    };
    if args.json {
        terminal.result(serde_json::to_string(&told).unwrap_or_default());
    } else {
        terminal.result(told.prose(terminal));
    }
    let exit = ended.await;
    world.stop().await;
    exit
}

impl Told {
    fn prose(&self, terminal: &Terminal) -> String {
        let quiet = |text: &str| terminal.paint(Tone::Quiet, text);
        let mut lines = vec![quiet("# Compass and a cluster are up; Ctrl-C ends both.")];
        for (name, value) in &self.environment {
            lines.push(format!("export {name}={}", value.display()));
        }
        lines.push(quiet("# The runtime, and a token that is good once:"));
        lines.push(format!("CONNECTOR_URL={}", self.connector_url));
        lines.push(format!("TOKEN={}", self.token));
        lines.push(format!("RUNTIME_ID={}", self.runtime_id));
        lines.push(format!("TENANT={}", self.tenant));
        lines.push(quiet("# With a client certificate:"));
        lines.push(format!("connector {}", self.secured_connector_url));
        lines.push(format!("director  {}", self.director_url));
        lines.push(quiet("# The agent's configuration Secret holds a token of its own. To watch the reference agent:"));
        lines
            .push(quiet("#   compass-harness agent &   kubectl get compassconnections -w -o yaml"));
        lines.join("\n")
    }
}
