//! `cargo bench -p mooring-policy`: what a request runs through, natively.

#![allow(missing_docs, reason = "criterion's macros write functions")]

use criterion::{Criterion, criterion_group, criterion_main};

mod cases;

fn policy(criterion: &mut Criterion) {
    for mut case in cases::all() {
        criterion.bench_function(case.name, |bencher| bencher.iter(|| case.call()));
    }
}

criterion_group!(benches, policy);
criterion_main!(benches);
