//! All benches, one criterion binary: `cargo bench`, or `cargo bench -- sync` for one subject.

mod apiserver;
mod compass;
mod sync_loops;

use criterion::{Criterion, criterion_group, criterion_main};

fn all(criterion: &mut Criterion) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    apiserver::define(criterion);
    compass::define(criterion);
    sync_loops::define(criterion);
}

criterion_group!(benches, all);
criterion_main!(benches);
