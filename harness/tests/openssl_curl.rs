//! A real `openssl` and a real `curl` walk the whole way against `compass-harness serve`: token,
//! configuration, CSR, certificate, mTLS configuration, renewal, Director, revocation, refusal.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use libtest_mimic::{Arguments, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

fn main() {
    let arguments = Arguments::from_args();
    let missing: Vec<_> = ["openssl", "curl"].into_iter().filter(|name| !installed(name)).collect();
    let name = "a_token_becomes_a_certificate_that_is_renewed_used_and_revoked";
    let trial = if missing.is_empty() {
        Trial::test(name, || Walk::begin().whole_way())
    } else {
        let reason = format!("skipped: no {} on this machine", missing.join(" and no "));
        Trial::test(format!("{name} ({reason})"), || Ok(())).with_ignored_flag(true)
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

fn installed(program: &str) -> bool {
    // `curl version` would look for a host of that name.
    let version = if program == "curl" { "--version" } else { "version" };
    Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

const CONFIGURATION: &str = "query { result: configuration() { token { token } \
    certificateSigningRequestInfo { subject keyAlgorithm } \
    managementPlaneInfo { directorURL certificateSecuredConnectorURL } } }";

/// A running `serve` and what it printed.
struct Walk {
    serve: Child,
    told: Value,
    scratch: tempfile::TempDir,
}

impl Drop for Walk {
    fn drop(&mut self) {
        // Killed, it could not take its directory away.
        let _ = kill(Pid::from_raw(self.serve.id().cast_signed()), Signal::SIGTERM);
        let _ = self.serve.wait();
    }
}

/// The answer to a POST.
struct Answered {
    status: String,
    body: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Walk {
    fn begin() -> Self {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_compass-harness"))
            .args(["serve", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the harness starts");
        let mut line = String::new();
        let stdout = serve.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("serve says where it is");
        let told = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self { serve, told, scratch: tempfile::tempdir().expect("a temporary directory") }
    }

    fn told(&self, key: &str) -> &str {
        self.told[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {}", self.told))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Posts a query with curl; more arguments go before the URL.
    fn post(&self, url: &str, query: &str, more: &[&str]) -> Answered {
        let body = json!({"query": query, "variables": null}).to_string();
        let output = self.curl(url, &body, more);
        assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let (body, status) =
            text.rsplit_once('\n').expect("the status stands on a line of its own");
        Answered { status: status.into(), body: body.into() }
    }

    fn curl(&self, url: &str, body: &str, more: &[&str]) -> Output {
        Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--cacert", self.told("caFile")])
            .args([
                "--header",
                "Content-Type: application/json; charset=utf-8",
                "--data-binary",
                body,
            ])
            .args(["--write-out", "\n%{http_code}"])
            .args(more)
            .arg(url)
            .output()
            .expect("curl runs")
    }

    fn openssl(arguments: &[&str]) -> String {
        let output = Command::new("openssl").args(arguments).output().expect("openssl runs");
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// A new RSA key and a CSR for the prescribed subject; the mutation that asks for a certificate.
    fn signing_mutation(&self, name: &str, subject: &str) -> String {
        let (key, csr) = (self.file(&format!("{name}.key")), self.file(&format!("{name}.csr")));
        let subject = format!("/{}", subject.replace(',', "/"));
        Self::openssl(&[
            "req",
            "-new",
            "-newkey",
            "rsa:4096",
            "-nodes",
            "-sha256",
            "-subj",
            &subject,
            "-keyout",
            text(&key),
            "-out",
            text(&csr),
        ]);
        let pem = std::fs::read(&csr).expect("openssl wrote a CSR");
        format!(
            "mutation {{ result: signCertificateSigningRequest(csr: \"{}\") \
             {{ certificateChain caCertificate clientCertificate }} }}",
            BASE64_STANDARD.encode(pem)
        )
    }

    /// Keeps what the Connector signed, as curl wants it.
    fn keep(&self, name: &str, signed: &Value) {
        for (field, ending) in
            [("certificateChain", "chain"), ("caCertificate", "ca"), ("clientCertificate", "crt")]
        {
            let value = signed["data"]["result"][field].as_str().expect("a string");
            let pem = BASE64_STANDARD.decode(value).expect("base64 of PEM");
            std::fs::write(self.file(&format!("{name}.{ending}")), pem).expect("writable");
        }
    }

    fn certificate(&self, name: &str) -> [String; 4] {
        let file = |ending| text(&self.file(&format!("{name}.{ending}"))).to_owned();
        ["--cert".into(), file("chain"), "--key".into(), file("key")]
    }

    fn whole_way(mut self) -> Result<(), libtest_mimic::Failed> {
        let connector = self.told("connectorUrl").to_owned();
        let token = |token: &str| format!("Connector-Token: {token}");

        // Token: configuration once, then never again with the same token.
        let first = token(self.told("token"));
        let configured = self.post(&connector, CONFIGURATION, &["--header", &first]);
        assert_eq!(configured.status, "200", "{}", configured.body);
        let configured = configured.json()["data"]["result"].clone();
        let subject =
            configured["certificateSigningRequestInfo"]["subject"].as_str().expect("a subject");
        assert!(subject.starts_with("O=") && subject.contains(",CN="), "{subject}");
        let again = self.post(&connector, CONFIGURATION, &["--header", &first]);
        assert_eq!(
            (again.status.as_str(), again.body.as_str()),
            ("400", ""),
            "a token is good once"
        );

        // CSR and certificate, with the token that the configuration brought.
        let second = token(configured["token"]["token"].as_str().expect("a token"));
        let mutation = self.signing_mutation("one", subject);
        let signed = self.post(&connector, &mutation, &["--header", &second]);
        assert_eq!(signed.status, "200", "{}", signed.body);
        self.keep("one", &signed.json());
        let (leaf, ca) = (self.file("one.crt"), self.file("one.ca"));
        Self::openssl(&["verify", "-purpose", "sslclient", "-CAfile", text(&ca), text(&leaf)]);
        let shown = Self::openssl(&["x509", "-noout", "-text", "-in", text(&leaf)]);
        for expected in
            ["Serial Number: 2 (0x2)", "TLS Web Client Authentication", "Digital Signature"]
        {
            assert!(shown.contains(expected), "no `{expected}` in {shown}");
        }
        // Key identifiers are upper-case hex, so `CA:` alone may be a part of one.
        assert!(!shown.contains("Basic Constraints"), "a leaf has none: {shown}");
        let chain = std::fs::read_to_string(self.file("one.chain")).expect("kept");
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "leaf, then CA");

        // mTLS configuration, at the address that the Connector gave.
        let secured = configured["managementPlaneInfo"]["certificateSecuredConnectorURL"]
            .as_str()
            .expect("an URL")
            .to_owned();
        let director =
            configured["managementPlaneInfo"]["directorURL"].as_str().expect("an URL").to_owned();
        let one = self.certificate("one");
        let one: Vec<_> = one.iter().map(String::as_str).collect();
        let maintained = self.post(&secured, CONFIGURATION, &one);
        assert_eq!(maintained.status, "200", "{}", maintained.body);
        let maintained = &maintained.json()["data"]["result"];
        assert_eq!(maintained["managementPlaneInfo"], configured["managementPlaneInfo"]);

        // Renewal: another key, by certificate.
        let renewed = self.post(&secured, &self.signing_mutation("two", subject), &one);
        assert_eq!(renewed.status, "200", "{}", renewed.body);
        self.keep("two", &renewed.json());
        let two = self.certificate("two");
        let two: Vec<_> = two.iter().map(String::as_str).collect();

        // The Director knows the runtime by its certificate.
        let runtime = self.told("runtimeId").to_owned();
        let query = format!("query {{ runtime(id: \"{runtime}\") {{ id labels }} }}");
        let tenant = format!("Tenant: {}", self.told("tenant"));
        let with_tenant = [&two[..], &["--header", &tenant]].concat();
        let asked = self.post(&director, &query, &with_tenant).json();
        assert_eq!(asked["data"]["runtime"]["id"], runtime.as_str(), "{asked}");

        // Revocation bites at once, and only on the certificate that was shown.
        let revoked = self.post(&secured, "mutation { result: revokeCertificate }", &one).json();
        assert_eq!(revoked, json!({"data": {"result": true}}));
        let refused = self.post(&secured, CONFIGURATION, &one);
        assert_eq!((refused.status.as_str(), refused.body.as_str()), ("400", ""));
        assert_eq!(self.post(&secured, CONFIGURATION, &two).status, "200");

        // Without a certificate there is no HTTP at that door.
        let bare = self.curl(&secured, "{}", &[]);
        assert!(!bare.status.success(), "a TLS failure was due");
        // Where TLS 1.3 ends, a client may have sent its request and see but a connection that is
        // gone; with TLS 1.2 the refusal comes before it can.
        let bare = self.curl(&secured, "{}", &["--tls-max", "1.2"]);
        assert!(!bare.status.success(), "a TLS failure was due");
        let words = String::from_utf8_lossy(&bare.stderr).into_owned();
        assert!(words.contains("alert") || words.contains("SSL"), "{words}");

        self.end();
        Ok(())
    }

    /// Asks `serve` to end, which it does cleanly.
    fn end(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.serve.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("it runs");
        let status = self.serve.wait().expect("it ends");
        assert_eq!(status.code(), Some(143), "ended by SIGTERM");
        assert!(!Path::new(self.told("caFile")).exists(), "nothing is left behind");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}
