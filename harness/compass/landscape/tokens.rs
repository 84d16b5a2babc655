//! One-time tokens: made for a system auth, good once, good for a while.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use jiff::Timestamp;
use uuid::Uuid;

/// Tokens that can no longer be used are remembered in this number, so that their later use can be
/// told from that of an unknown token.
const REMEMBERED: usize = 4096;

/// A one-time token of a system auth.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OneTimeToken {
    /// Which, counted from 1.
    pub(crate) number: u32,
    /// The token itself: 88 characters.
    pub(crate) text: String,
    pub(crate) auth: Uuid,
    pub(crate) created: Timestamp,
    pub(crate) valid_for: Duration,
    pub(crate) used: Option<Timestamp>,
}

impl fmt::Debug for OneTimeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OneTimeToken").field("number", &self.number).finish_non_exhaustive()
    }
}

impl OneTimeToken {
    /// When it stops being good.
    pub(crate) fn expires(&self) -> Timestamp {
        let valid_for = jiff::SignedDuration::try_from(self.valid_for);
        let end = self.created.saturating_add(valid_for.unwrap_or(jiff::SignedDuration::MAX));
        end.unwrap_or(Timestamp::MAX)
    }
}

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Which token, when it was ever made here.
    pub(super) number: Option<u32>,
    /// `used`, `expired`, `unknown`, `empty`.
    pub(super) reason: &'static str,
}

/// All tokens of a landscape.
#[derive(Default)]
pub(super) struct Tokens {
    count: u32,
    current: HashMap<Uuid, OneTimeToken>,
    by_text: HashMap<String, Known>,
    retired: VecDeque<String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").field("count", &self.count).finish_non_exhaustive()
    }
}

/// What is known of a token by its text.
#[derive(Debug, Clone, Copy)]
struct Known {
    number: u32,
    auth: Uuid,
    used: bool,
}

impl Tokens {
    /// Makes a token for a system auth; the one it had before is worth nothing from now on.
    pub(super) fn issue(&mut self, auth: Uuid, valid_for: Duration) -> &OneTimeToken {
        self.withdraw(auth);
        self.count += 1;
        let number = self.count;
        // 64 random bytes in padded base64url (Director, one-time token service).
        let text = URL_SAFE.encode(rand::random::<[u8; 64]>());
        self.by_text.insert(text.clone(), Known { number, auth, used: false });
        let created = Timestamp::now();
        let token = OneTimeToken { number, text, auth, created, valid_for, used: None };
        self.current.entry(auth).insert_entry(token).into_mut()
    }

    /// The token of a system auth.
    pub(super) fn of(&self, auth: Uuid) -> Option<&OneTimeToken> {
        self.current.get(&auth)
    }

    /// Takes the token away from a system auth.
    pub(super) fn withdraw(&mut self, auth: Uuid) {
        let Some(old) = self.current.remove(&auth) else { return };
        self.retired.push_back(old.text);
        if self.retired.len() > REMEMBERED
            && let Some(forgotten) = self.retired.pop_front()
        {
            self.by_text.remove(&forgotten);
        }
    }

    /// Says whose token this is, if it is good, and changes nothing.
    pub(super) fn look_up(&self, text: &str) -> Result<&OneTimeToken, Refusal> {
        if text.is_empty() {
            return Err(Refusal { number: None, reason: "empty" });
        }
        let Some(known) = self.by_text.get(text) else {
            return Err(Refusal { number: None, reason: "unknown" });
        };
        let refused = |reason| Refusal { number: Some(known.number), reason };
        if known.used {
            return Err(refused("used"));
        }
        // A token that was replaced by a newer one is unknown to the Director, though not to us.
        let current = self.current.get(&known.auth).filter(|token| token.number == known.number);
        let token = current.ok_or_else(|| refused("unknown"))?;
        if Timestamp::now() >= token.expires() {
            return Err(refused("expired"));
        }
        Ok(token)
    }

    /// Uses a token up.
    pub(super) fn spend(&mut self, text: &str) -> Result<OneTimeToken, Refusal> {
        let token = self.look_up(text)?.clone();
        self.mark_used(token.auth);
        Ok(token)
    }

    /// Uses up the token of a system auth without anybody having shown it.
    pub(super) fn burn(&mut self, auth: Uuid) {
        self.mark_used(auth);
    }

    fn mark_used(&mut self, auth: Uuid) {
        let Some(token) = self.current.get_mut(&auth) else { return };
        token.used.get_or_insert_with(Timestamp::now);
        if let Some(known) = self.by_text.get_mut(&token.text) {
            known.used = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_token_is_good_once() {
        let mut tokens = Tokens::default();
        let auth = Uuid::from_u128(1);
        let text = tokens.issue(auth, HOUR).text.clone();
        assert_eq!(text.len(), 88);
        assert_eq!(tokens.look_up(&text).map(|token| token.number), Ok(1));
        assert_eq!(tokens.spend(&text).map(|token| token.auth), Ok(auth));
        let refusal = Refusal { number: Some(1), reason: "used" };
        assert_eq!(tokens.look_up(&text), Err(refusal));
        assert_eq!(tokens.spend(&text), Err(refusal));
    }

    #[test]
    fn a_new_token_replaces_the_old_one_of_the_same_client_only() {
        let mut tokens = Tokens::default();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let old = tokens.issue(one, HOUR).text.clone();
        let other = tokens.issue(two, HOUR).text.clone();
        let new = tokens.issue(one, HOUR).text.clone();
        assert_eq!(tokens.look_up(&old), Err(Refusal { number: Some(1), reason: "unknown" }));
        assert!(tokens.look_up(&other).is_ok());
        assert_eq!(tokens.look_up(&new).map(|token| token.number), Ok(3));
    }

    #[test]
    fn each_bad_token_has_its_reason() {
        let mut tokens = Tokens::default();
        let expired = tokens.issue(Uuid::from_u128(1), Duration::ZERO).text.clone();
        let burnt = tokens.issue(Uuid::from_u128(2), HOUR).text.clone();
        tokens.burn(Uuid::from_u128(2));
        let reason = |text: &str| tokens.look_up(text).map_err(|refusal| refusal.reason);
        assert_eq!(reason(""), Err("empty"));
        assert_eq!(reason("what"), Err("unknown"));
        assert_eq!(reason(&expired), Err("expired"));
        assert_eq!(reason(&burnt), Err("used"));
    }

    #[test]
    fn memory_does_not_grow_with_the_number_of_tokens() {
        let mut tokens = Tokens::default();
        for _ in 0..3 * REMEMBERED {
            tokens.issue(Uuid::from_u128(1), HOUR);
        }
        assert_eq!(tokens.by_text.len(), REMEMBERED + 1);
    }

    #[test]
    fn a_token_is_in_no_debug_output() {
        let mut tokens = Tokens::default();
        let token = tokens.issue(Uuid::from_u128(1), HOUR).clone();
        assert!(!format!("{token:?} {tokens:?}").contains(&token.text));
    }
}
