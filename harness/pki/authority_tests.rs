//! What the Connector's authority signs and what it refuses, with CSRs by rcgen and openssl.

use std::sync::LazyLock;

use rcgen::{DnValue, SignatureAlgorithm};
use x509_parser::prelude::*;

use super::*;
use crate::pki::tests::openssl;

static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::generate_blocking(Duration::from_secs(60)).expect("an authority"));
static KEY: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key"));

fn terms() -> CertificateTerms {
    CertificateTerms {
        subject: ExpectedSubject {
            common_name: "client".into(),
            country: "DE".into(),
            organization: "Org".into(),
            organizational_unit: "OrgUnit".into(),
            locality: "locality".into(),
            province: "province".into(),
        },
        not_before: SignedDuration::ZERO,
        validity: Duration::from_secs(40),
    }
}

const GOOD: [(DnType, &str); 6] = [
    (DnType::CommonName, "client"),
    (DnType::StateOrProvinceName, "province"),
    (DnType::LocalityName, "locality"),
    (DnType::OrganizationName, "Org"),
    (DnType::OrganizationalUnitName, "OrgUnit"),
    (DnType::CountryName, "DE"),
];

fn csr(attributes: &[(DnType, &str)], key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in attributes {
        params.distinguished_name.push(kind.clone(), DnValue::Utf8String((*value).into()));
    }
    params.serialize_request(key).expect("a request").der().to_vec()
}

fn refusal(csr: &[u8]) -> String {
    AUTHORITY.sign(csr, &terms()).expect_err("refused").to_string()
}

fn openssl_csr(arguments: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let key = directory.path().join("key.pem");
    let mut all = vec!["req", "-new", "-nodes", "-batch", "-outform", "DER", "-keyout"];
    all.push(key.to_str().expect("a readable path"));
    all.extend(arguments);
    openssl(&all, b"")
}

#[test]
fn a_good_request_gives_the_certificate_of_the_real_connector() {
    let signed = AUTHORITY.sign(&csr(&GOOD, &KEY), &terms()).expect("signed");
    let (_, certificate) = parse_x509_certificate(&signed.der).expect("a certificate");
    assert_eq!(certificate.version(), X509Version::V3);
    assert_eq!(certificate.raw_serial(), [2]);
    assert_eq!(
        certificate.subject().to_string(),
        "C=DE, O=Org, OU=OrgUnit, L=locality, ST=province, CN=client"
    );
    let (_, issuer) = parse_x509_certificate(AUTHORITY.certificate()).expect("a certificate");
    assert_eq!(certificate.issuer().as_raw(), issuer.subject().as_raw());
    certificate.verify_signature(Some(issuer.public_key())).expect("signed by the authority");
    let life = signed.facts.not_after.duration_since(signed.facts.not_before);
    assert_eq!(life, SignedDuration::from_secs(40));
    let age = Timestamp::now().duration_since(signed.facts.not_before);
    assert!((0..5).contains(&age.as_secs()), "{age}");
    let extensions: Vec<_> =
        certificate.extensions().iter().map(|one| (one.oid.to_id_string(), one.critical)).collect();
    let expected = [("2.5.29.15", true), ("2.5.29.37", false), ("2.5.29.35", false)];
    assert_eq!(extensions, expected.map(|(oid, critical)| (oid.to_string(), critical)));
    let usage = certificate.key_usage().expect("readable").expect("present").value;
    assert_eq!(usage.flags, 1);
    let extended = certificate.extended_key_usage().expect("readable").expect("present").value;
    assert!(extended.client_auth && !extended.server_auth && !extended.any);
    let key_id = issuer.iter_extensions().find_map(|one| match one.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    });
    let wanted = certificate.iter_extensions().find_map(|one| match one.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            id.key_identifier.as_ref().map(|id| id.0.to_vec())
        }
        _ => None,
    });
    assert!(key_id.is_some());
    assert_eq!(wanted, key_id);
    assert_eq!(signed.key_algorithm, "RSA");
    assert_eq!(signed.key_bits, 2048);
    assert_eq!(signed.subject[0], "CN=client");
}

#[test]
fn the_authority_is_fit_to_sign_and_not_for_production() {
    let (_, certificate) = parse_x509_certificate(AUTHORITY.certificate()).expect("a certificate");
    assert_eq!(certificate.version(), X509Version::V3);
    assert!(certificate.is_ca());
    assert!(certificate.key_usage().expect("readable").expect("present").value.key_cert_sign());
    assert!(certificate.subject().to_string().contains("NOT FOR PRODUCTION"));
    let hours = |longest| {
        let (from, to) = authority_life(longest);
        to.duration_since(from).as_hours()
    };
    assert_eq!(hours(Duration::from_secs(40)), 25);
    assert_eq!(hours(Duration::from_secs(2160 * 3600)), 2162);
    assert!(hours(Duration::MAX) > 1_000_000);
}

#[test]
fn each_wrong_attribute_has_its_own_refusal_in_the_order_of_the_checks() {
    let without =
        |kind: DnType| -> Vec<_> { GOOD.into_iter().filter(|(other, _)| *other != kind).collect() };
    let with = |kind: DnType| -> Vec<_> {
        GOOD.into_iter().map(|(k, v)| if k == kind { (k, "other") } else { (k, v) }).collect()
    };
    assert_eq!(
        refusal(&csr(&without(DnType::CommonName), &KEY)),
        "CSR: Invalid common name provided."
    );
    for (kind, name) in [
        (DnType::CommonName, "common name"),
        (DnType::CountryName, "country"),
        (DnType::OrganizationName, "organization"),
        (DnType::OrganizationalUnitName, "organizational unit"),
        (DnType::LocalityName, "locality"),
        (DnType::StateOrProvinceName, "province"),
    ] {
        let different = refusal(&csr(&with(kind.clone()), &KEY));
        assert_eq!(different, format!("CSR: Invalid {name} provided."));
        if kind != DnType::CommonName {
            let missing = refusal(&csr(&without(kind), &KEY));
            assert_eq!(missing, format!("CSR: No {name} provided."));
        }
    }
    assert_eq!(refusal(&csr(&[], &KEY)), "CSR: Invalid common name provided.");
    assert_eq!(refusal(&csr(&GOOD[..1], &KEY)), "CSR: No country provided.");
    assert_eq!(refusal(&csr(&GOOD[..5], &KEY)), "CSR: No country provided.");
}

#[test]
fn values_are_compared_exactly() {
    let mut attributes = GOOD;
    attributes[3].1 = "org";
    assert_eq!(refusal(&csr(&attributes, &KEY)), "CSR: Invalid organization provided.");
}

#[test]
fn only_the_first_value_of_an_attribute_counts_and_all_are_kept() {
    let subject =
        "/C=DE/O=Org/OU=OrgUnit/OU=Second/L=locality/ST=province/emailAddress=a@b.c/CN=client";
    let request = openssl_csr(&["-newkey", "rsa:2048", "-subj", subject]);
    let signed = AUTHORITY.sign(&request, &terms()).expect("signed");
    let (_, certificate) = parse_x509_certificate(&signed.der).expect("a certificate");
    // The values stand in one set, and DER sorts a set.
    assert_eq!(
        certificate.subject().to_string(),
        "C=DE, O=Org, OU=Second + OU=OrgUnit, L=locality, ST=province, CN=client"
    );
    assert_eq!(signed.subject[3], "OU=Second");
    let subject = "/C=DE/O=Org/OU=Second/OU=OrgUnit/L=locality/ST=province/CN=client";
    let request = openssl_csr(&["-newkey", "rsa:2048", "-subj", subject]);
    assert_eq!(refusal(&request), "CSR: Invalid organizational unit provided.");
    // One set with two values, which DER sorts by length first.
    let subject = "/C=DE/O=Org/OU=LongerUnit+OU=OrgUnit/L=locality/ST=province/CN=client";
    let request = openssl_csr(&["-newkey", "rsa:2048", "-multivalue-rdn", "-subj", subject]);
    AUTHORITY.sign(&request, &terms()).expect("signed");
}

#[test]
fn rsa_keys_of_any_size_and_every_rsa_signature_are_taken() {
    let subject = "/C=DE/O=Org/OU=OrgUnit/L=locality/ST=province/CN=client";
    for (size, digest, expected) in [
        ("rsa:1024", "-sha256", "1.2.840.113549.1.1.11"),
        ("rsa:4096", "-sha256", "1.2.840.113549.1.1.11"),
        ("rsa:2048", "-sha384", "1.2.840.113549.1.1.12"),
        ("rsa:2048", "-sha512", "1.2.840.113549.1.1.13"),
    ] {
        let request = openssl_csr(&["-newkey", size, digest, "-subj", subject]);
        let signed = AUTHORITY.sign(&request, &terms()).expect("signed");
        let (_, certificate) = parse_x509_certificate(&signed.der).expect("a certificate");
        assert_eq!(certificate.signature_algorithm.algorithm.to_id_string(), expected);
        let (_, issuer) = parse_x509_certificate(AUTHORITY.certificate()).expect("a certificate");
        certificate.verify_signature(Some(issuer.public_key())).expect("a good signature");
        assert_eq!(format!("rsa:{}", signed.key_bits), size);
    }
    let pss = ["-newkey", "rsa:2048", "-sha256", "-sigopt", "rsa_padding_mode:pss"];
    let request =
        openssl_csr(&[&pss[..], &["-sigopt", "rsa_pss_saltlen:32", "-subj", subject]].concat());
    let signed = AUTHORITY.sign(&request, &terms()).expect("signed");
    let directory = tempfile::tempdir().expect("a directory");
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, AUTHORITY.certificate_pem()).expect("written");
    let ca = ca.to_str().expect("a readable path");
    let verify = ["verify", "-CAfile", ca, "-purpose", "sslclient"];
    openssl(&verify, pem_of(&signed.der).as_bytes());
}

#[test]
fn keys_that_do_not_fit_the_authority_pass_the_checks_and_fail_at_the_end() {
    let fails = |algorithm: &'static SignatureAlgorithm| {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut wrong = GOOD;
        wrong[5].1 = "FR";
        assert_eq!(refusal(&csr(&wrong, &key)), "CSR: Invalid country provided.");
        refusal(&csr(&GOOD, &key))
    };
    let expected = "Error while creating certificate: x509: requested SignatureAlgorithm does not match private key type";
    assert_eq!(fails(&rcgen::PKCS_ECDSA_P256_SHA256), expected);
    assert_eq!(fails(&rcgen::PKCS_ED25519), expected);
}

#[test]
fn a_broken_request_is_refused_before_its_subject_is_looked_at() {
    let good = csr(&GOOD, &KEY);
    assert!(refusal(b"").starts_with("Error while parsing CSR: asn1: "));
    assert!(refusal(b"hello").starts_with("Error while parsing CSR: asn1: structure error"));
    assert_eq!(
        refusal(&good[..good.len() - 1]),
        "Error while parsing CSR: asn1: syntax error: data truncated"
    );
    let long = [&*good, &[0]].concat();
    assert_eq!(refusal(&long), "Error while parsing CSR: asn1: syntax error: trailing data");
    let mut forged = csr(&[], &KEY);
    *forged.last_mut().expect("bytes") ^= 1;
    assert_eq!(refusal(&forged), "CSR signature invalid: crypto/rsa: verification error");
}

#[test]
fn no_bytes_make_it_panic() {
    let good = csr(&GOOD, &KEY);
    for position in 0..good.len() {
        for value in [0, 0x30, 0x7f, 0x80, 0xff] {
            let mut broken = good.clone();
            broken[position] = value;
            let _ = AUTHORITY.sign(&broken, &terms());
        }
    }
}

#[test]
fn a_certificate_may_begin_in_the_past_or_in_the_future_and_end_beyond_2050() {
    let request = csr(&GOOD, &KEY);
    for (hours, validity) in [(-1, 60), (5, 60), (0, 60 * 365 * 24 * 3600)] {
        let terms = CertificateTerms {
            not_before: SignedDuration::from_hours(hours),
            validity: Duration::from_secs(validity),
            ..terms()
        };
        let facts = AUTHORITY.sign(&request, &terms).expect("signed").facts;
        let offset = facts.not_before.duration_since(Timestamp::now());
        assert!((offset.as_secs() - hours * 3600).abs() < 5, "{offset}");
        let life = facts.not_after.duration_since(facts.not_before);
        assert_eq!(life.as_secs().unsigned_abs(), validity);
    }
    let endless = CertificateTerms { validity: Duration::MAX, ..terms() };
    AUTHORITY.sign(&request, &endless).expect("signed");
}

#[test]
fn the_key_is_in_no_debug_output() {
    let output = format!("{:?}", *AUTHORITY);
    assert!(output.ends_with(".. }") && !output.contains("key"), "{output}");
}
