//! Who wrote which revision of the CompassConnection.
//!
//! Only the agent goes through the Kubernetes door, and the answer to its write names the
//! resourceVersion that it made. Answer and revision come by different ways, in either order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::journal::{Answer, Request};

/// Revisions that still may learn their writer.
const KEPT: usize = 64;

/// A revision that is known to be the agent's.
#[derive(Debug, Clone)]
pub struct AgentWrite {
    /// Its entry in the journal.
    pub seq: u64,
    /// The object before; none when the agent made it.
    pub before: Option<Arc<Value>>,
    /// The object after; none when the agent deleted it.
    pub after: Option<Arc<Value>>,
}

/// The fold that finds the writers.
#[derive(Debug, Default)]
pub struct Writers {
    /// Writes of the agent to the CompassConnection that have no answer yet.
    under_way: BTreeSet<u64>,
    /// Versions that the agent was told and that were not seen yet.
    promised: VecDeque<String>,
    /// Revisions of the last time, by version.
    unclaimed: BTreeMap<String, AgentWrite>,
    order: VecDeque<String>,
    /// Revisions whose writer became known, until they are taken.
    known: Vec<AgentWrite>,
}

impl Writers {
    /// The agent's revisions that became known since the last call.
    pub(super) fn take_known(&mut self) -> Vec<AgentWrite> {
        std::mem::take(&mut self.known)
    }

    pub(super) fn see_request(&mut self, request: &Request, connection: &str) {
        let Some(call) = &request.kubernetes else { return };
        let writes = matches!(call.verb.as_str(), "create" | "update" | "patch" | "delete");
        let named = call.name.as_deref().is_none_or(|name| name == connection);
        if writes && named && call.resource == "compassconnections" {
            self.under_way.insert(request.id);
        }
    }

    /// Says which revision turned out to be the agent's, if one did.
    pub(super) fn see_answer(&mut self, answer: &Answer) -> Option<u64> {
        if !self.under_way.remove(&answer.request) {
            return None;
        }
        let version = answer.resource_version.clone()?;
        match self.unclaimed.remove(&version) {
            Some(write) => {
                let seq = write.seq;
                self.known.push(write);
                Some(seq)
            }
            None => {
                self.promised.push_back(version);
                if self.promised.len() > KEPT {
                    self.promised.pop_front();
                }
                None
            }
        }
    }

    /// Says whether the agent wrote this revision, as far as can be told already.
    pub(super) fn see_revision(
        &mut self,
        version: &str,
        seq: u64,
        before: Option<Arc<Value>>,
        after: Option<Arc<Value>>,
    ) -> bool {
        let write = AgentWrite { seq, before, after };
        if let Some(index) = self.promised.iter().position(|promised| promised == version) {
            self.promised.remove(index);
            self.known.push(write);
            return true;
        }
        self.unclaimed.insert(version.to_owned(), write);
        self.order.push_back(version.to_owned());
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.unclaimed.remove(&oldest);
        }
        // Its answer is on the way; other hands that write in the same instant are the exception.
        !self.under_way.is_empty()
    }
}
