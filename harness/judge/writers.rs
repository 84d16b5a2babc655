//! Who wrote which revision of the CompassConnection.
//!
//! Only the agent goes through the Kubernetes door, and the answer to its write names the
//! resourceVersion that it made. Answer and revision come by different ways, in either order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::journal::{Answer, Request};

/// Revisions that still may learn their writer.
const KEPT: usize = 64;

/// A revision that is known to be the agent's.
#[derive(Debug, Clone)]
pub struct AgentWrite {
    /// The request that made it.
    pub asked: Asked,
    /// The object before; none when the agent made it.
    pub before: Option<Arc<Value>>,
    /// The object after; none when the agent deleted it.
    pub after: Option<Arc<Value>>,
}

/// A request of the agent to write the CompassConnection.
///
/// Revisions come by a watch, late on a busy machine; the request is where the agent was when it
/// wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Its entry in the journal.
    pub seq: u64,
    /// The last good answer of the Director before it.
    pub fetched: Option<u64>,
}

/// An object before and after a revision.
type BeforeAndAfter = (Option<Arc<Value>>, Option<Arc<Value>>);

/// The fold that finds the writers.
#[derive(Debug, Default)]
pub struct Writers {
    /// Writes of the agent to the CompassConnection that have no answer yet.
    under_way: BTreeMap<u64, Asked>,
    /// Versions that the agent was told and that were not seen yet.
    promised: VecDeque<(String, Asked)>,
    /// Revisions of the last time, by version.
    unclaimed: BTreeMap<String, BeforeAndAfter>,
    order: VecDeque<String>,
    /// Revisions whose writer became known, until they are taken.
    known: Vec<AgentWrite>,
}

impl Writers {
    /// The agent's revisions that became known since the last call.
    pub(super) fn take_known(&mut self) -> Vec<AgentWrite> {
        std::mem::take(&mut self.known)
    }

    pub(super) fn see_request(&mut self, request: &Request, connection: &str, asked: Asked) {
        let Some(call) = &request.kubernetes else { return };
        let writes = matches!(call.verb.as_str(), "create" | "update" | "patch" | "delete");
        let named = call.name.as_deref().is_none_or(|name| name == connection);
        if writes && named && call.resource == "compassconnections" {
            self.under_way.insert(request.id, asked);
        }
    }

    pub(super) fn see_answer(&mut self, answer: &Answer) {
        let Some(asked) = self.under_way.remove(&answer.request) else { return };
        let Some(version) = answer.resource_version.clone() else { return };
        match self.unclaimed.remove(&version) {
            Some((before, after)) => self.known.push(AgentWrite { asked, before, after }),
            None => {
                self.promised.push_back((version, asked));
                if self.promised.len() > KEPT {
                    self.promised.pop_front();
                }
            }
        }
    }

    /// The request of the agent that made this revision, as far as can be told already.
    pub(super) fn see_revision(
        &mut self,
        version: &str,
        before: Option<Arc<Value>>,
        after: Option<Arc<Value>>,
    ) -> Option<Asked> {
        if let Some(index) = self.promised.iter().position(|(promised, _)| promised == version) {
            let (_, asked) = self.promised.remove(index)?;
            self.known.push(AgentWrite { asked, before, after });
            return Some(asked);
        }
        self.unclaimed.insert(version.to_owned(), (before, after));
        self.order.push_back(version.to_owned());
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.unclaimed.remove(&oldest);
        }
        // Its answer is on the way; other hands that write in the same instant are the exception.
        self.under_way.values().max().copied()
    }
}
