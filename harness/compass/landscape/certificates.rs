//! The client certificates that were issued, and those that are revoked.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;
use uuid::Uuid;

use super::{CertificatesFile, Landscape, LandscapeError};
use crate::journal::{CertificateEvent, CertificateFacts, Identity};
use crate::pki::{Authority, CertificateTerms, ExpectedSubject, SignedCertificate, SigningError};

/// All certificates of a landscape.
#[derive(Debug)]
pub(super) struct Certificates {
    pub(super) validity: Duration,
    /// The validities of the next certificates, which go before that.
    pub(super) next_validities: VecDeque<Duration>,
    pub(super) start: SignedDuration,
    /// In the order of issuing; the first has number 1.
    issued: Vec<Issued>,
    numbers: HashMap<String, u32>,
    /// Fingerprints; the Connector revokes a certificate by it, known or not.
    revoked: BTreeSet<String>,
}

/// One certificate that was issued.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub(super) number: u32,
    pub(super) client: Uuid,
    pub(super) facts: CertificateFacts,
}

impl Certificates {
    pub(super) fn new(file: &CertificatesFile) -> Self {
        Self {
            validity: Duration::try_from(file.valid_for).unwrap_or_default(),
            next_validities: VecDeque::new(),
            start: file.valid_from,
            issued: Vec::new(),
            numbers: HashMap::new(),
            revoked: BTreeSet::new(),
        }
    }

    pub(super) fn by_fingerprint(&self, fingerprint: &str) -> Option<&Issued> {
        self.by_number(*self.numbers.get(fingerprint)?)
    }

    pub(super) fn is_revoked(&self, fingerprint: &str) -> bool {
        self.revoked.contains(fingerprint)
    }

    fn next_validity(&self) -> Duration {
        self.next_validities.front().copied().unwrap_or(self.validity)
    }

    fn by_number(&self, number: u32) -> Option<&Issued> {
        self.issued.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    fn add(&mut self, client: Uuid, facts: CertificateFacts) -> u32 {
        let number = u32::try_from(self.issued.len() + 1).unwrap_or(u32::MAX);
        self.numbers.insert(facts.fingerprint.clone(), number);
        self.issued.push(Issued { number, client, facts });
        number
    }
}

impl Landscape {
    /// The subject that the Connector prescribes to a client, in the form that `configuration`
    /// gives it.
    pub(crate) fn subject_text(&self, client: Uuid) -> String {
        let subject = &self.shared.subject;
        format!(
            "O={},OU={},L={},ST={},C={},CN={client}",
            subject.organization,
            subject.organizational_unit,
            subject.locality,
            subject.province,
            subject.country
        )
    }

    /// Signs a CSR in DER for a client and says by whom it was signed, or says why it was not.
    pub(crate) fn sign(
        &self,
        client: Uuid,
        to: Identity,
        csr: &[u8],
    ) -> Result<(SignedCertificate, Arc<Authority>), SigningError> {
        let subject = self.shared.subject.clone();
        let (terms, authority) = {
            let state = self.state();
            let terms = CertificateTerms {
                subject: ExpectedSubject {
                    common_name: client.to_string(),
                    country: subject.country,
                    organization: subject.organization,
                    organizational_unit: subject.organizational_unit,
                    locality: subject.locality,
                    province: subject.province,
                },
                not_before: state.certificates.start,
                validity: state.certificates.next_validity(),
            };
            (terms, Arc::clone(&state.authority))
        };
        // Signing takes about a millisecond, in which others may go on.
        let signed = authority.sign(csr, &terms)?;
        let mut state = self.state_mut();
        state.certificates.next_validities.pop_front();
        let number = state.certificates.add(client, signed.facts.clone());
        self.shared.journal.record(CertificateEvent::Issued {
            number,
            facts: signed.facts.clone(),
            to,
            key_algorithm: signed.key_algorithm.clone(),
            key_bits: signed.key_bits,
            subject: signed.subject.clone(),
        });
        Ok((signed, authority))
    }

    /// Revokes a certificate by its number, effective with the next request.
    ///
    /// # Errors
    ///
    /// [`LandscapeError::UnknownCertificate`].
    pub fn revoke(&self, number: u32) -> Result<(), LandscapeError> {
        let facts = self.certificate(number).ok_or(LandscapeError::UnknownCertificate(number))?;
        self.revoke_fingerprint(&facts.fingerprint);
        Ok(())
    }

    /// Revokes whatever certificate has this fingerprint.
    pub(crate) fn revoke_fingerprint(&self, fingerprint: &str) {
        let mut state = self.state_mut();
        let new = state.certificates.revoked.insert(fingerprint.into());
        if new {
            self.shared.revocations.send_modify(|count| *count += 1);
        }
        if let Some(known) = state.certificates.by_fingerprint(fingerprint).filter(|_| new) {
            self.shared.journal.record(CertificateEvent::Revoked { number: known.number });
        }
    }

    /// The facts of a certificate by its number, counted from 1.
    #[must_use]
    pub fn certificate(&self, number: u32) -> Option<CertificateFacts> {
        self.state().certificates.by_number(number).map(|issued| issued.facts.clone())
    }

    /// How many certificates were issued.
    #[must_use]
    pub fn certificates_issued(&self) -> usize {
        self.state().certificates.issued.len()
    }

    /// Whether the certificate with this fingerprint is revoked.
    pub(crate) fn is_revoked(&self, fingerprint: &str) -> bool {
        self.state().certificates.is_revoked(fingerprint)
    }

    /// Takes a certificate off the revocation list, as one who deletes its entry in the list's
    /// ConfigMap does; says whether it was there.
    pub fn take_back_revocation(&self, fingerprint: &str) -> bool {
        let mut state = self.state_mut();
        let was_there = state.certificates.revoked.remove(fingerprint);
        if was_there {
            self.shared.revocations.send_modify(|count| *count += 1);
        }
        was_there
    }

    /// Counts the changes of the revocation list, for whoever mirrors [`revoked`](Self::revoked).
    #[must_use]
    pub fn revocations(&self) -> watch::Receiver<u64> {
        self.shared.revocations.subscribe()
    }

    /// Fingerprints of all revoked certificates.
    #[must_use]
    pub fn revoked(&self) -> BTreeSet<String> {
        self.state().certificates.revoked.clone()
    }
}
