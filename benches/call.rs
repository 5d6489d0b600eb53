//! One client calls one service in a tight loop, with and without a limit of its own.
#![allow(missing_docs)] // what criterion's macros make

use std::convert::Infallible;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use underpin::{Context, Deadline, Next, Reply, Service, Supervisor, Wait, child};

struct Successor;

struct Ask(u64, Reply<u64>);

impl Service for Successor {
    type Msg = Ask;
    type Error = Infallible;

    fn handle(&mut self, Ask(n, reply): Ask, _: &mut Context<Self>) -> Result<Next, Infallible> {
        reply.send(n + 1);
        Ok(Next::Continue)
    }
}

fn call(c: &mut Criterion) {
    const LIMIT: Duration = Duration::from_secs(5);
    let adaptive = child("adaptive", || Successor);
    let parking = child("parking", || Successor).wait(Wait::Park);
    let (handle, parked) = (adaptive.handle(), parking.handle());
    let supervisor = Supervisor::new("bench").child(adaptive).child(parking).start().expect("it starts");

    let mut group = c.benchmark_group("call");
    group.bench_function("default", |b| b.iter(|| handle.call(|reply| Ask(1, reply))));
    group.bench_function("timeout", |b| b.iter(|| handle.call_timeout(LIMIT, |reply| Ask(1, reply))));
    group.bench_function("deadline", |b| {
        b.iter(|| handle.call_by(Deadline::after(LIMIT), |reply| Ask(1, reply)));
    });
    group.bench_function("parking service", |b| b.iter(|| parked.call(|reply| Ask(1, reply))));
    group.finish();
    drop(supervisor);
}

fn brief() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = brief(); targets = call }
criterion_main!(benches);
