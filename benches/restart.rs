//! A service crashes; the next call is served by its replacement.
#![allow(missing_docs)] // what criterion's macros make

use std::convert::Infallible;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use underpin::{Context, Next, Reply, Service, Strategy, Supervisor, child};

struct Fragile;

enum Msg {
    Ping(Reply<()>),
    Crash,
}

impl Service for Fragile {
    type Msg = Msg;
    type Error = Infallible;

    fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {
            Msg::Ping(reply) => reply.send(()),
            // A panic that no hook prints.
            Msg::Crash => std::panic::resume_unwind(Box::new("crash")),
        }
        Ok(Next::Continue)
    }
}

fn restart(c: &mut Criterion) {
    let mut group = c.benchmark_group("restart");
    for (name, strategy, siblings) in
        [("one_for_one", Strategy::OneForOne, 0), ("one_for_all, 10 children", Strategy::OneForAll, 9)]
    {
        let fragile = child("fragile", || Fragile);
        let handle = fragile.handle();
        let sibling = |i| child(format!("sibling-{i}"), || Fragile);
        let alone = Supervisor::new("bench")
            .strategy(strategy)
            .intensity(u32::MAX, Duration::from_secs(1))
            .child(fragile);
        let plan = (0..siblings).map(sibling).fold(alone, Supervisor::child);
        let supervisor = plan.start().expect("it starts");
        group.bench_function(name, |b| {
            b.iter(|| {
                handle.cast(Msg::Crash).expect("there is space");
                handle.call(Msg::Ping).expect("an answer");
            });
        });
        drop(supervisor);
    }
    group.finish();
}

fn brief() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = brief(); targets = restart }
criterion_main!(benches);
