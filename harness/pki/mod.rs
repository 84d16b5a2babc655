//! Certificate authority: server certificates, CSR signing, revocation.
