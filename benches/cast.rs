//! One client casts to one service, until the service has handled everything.
#![allow(missing_docs)] // what criterion's macros make

use std::convert::Infallible;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use underpin::{Context, Handle, Next, Overflow, Reply, Service, Supervisor, child};

struct Sum(u64);

enum Msg {
    Add(u64),
    Total(Reply<u64>),
}

impl Service for Sum {
    type Msg = Msg;
    type Error = Infallible;

    fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {
            Msg::Add(n) => self.0 = self.0.wrapping_add(n),
            Msg::Total(reply) => reply.send(self.0),
        }
        Ok(Next::Continue)
    }
}

/// The time of `n` casts, the last of them handled.
fn casts(handle: &Handle<Msg>, n: u64) -> Duration {
    let start = Instant::now();
    for i in 0..n {
        handle.cast(Msg::Add(i)).expect("there is space in time");
    }
    handle.call(Msg::Total).expect("an answer");
    start.elapsed()
}

fn cast(c: &mut Criterion) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let mut group = c.benchmark_group("cast");
    group.throughput(Throughput::Elements(1));
    for capacity in [64, 1024, 65536] {
        let sum = child("sum", || Sum(0)).capacity(capacity).overflow(Overflow::Block(PATIENCE));
        let handle = sum.handle();
        let supervisor = Supervisor::new("bench").child(sum).start().expect("it starts");
        group.bench_function(format!("capacity {capacity}"), |b| b.iter_custom(|n| casts(&handle, n)));
        drop(supervisor);
    }
    group.finish();
}

fn brief() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = brief(); targets = cast }
criterion_main!(benches);
