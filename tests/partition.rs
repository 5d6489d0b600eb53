//! Partitions: which service is in charge of a key, and what the others have to do with it.

mod common;

use std::hash::Hash;
use std::time::Instant;

use common::*;
use underpin::{
    CallError, CastError, Clock, Context, DEFAULT_TIMEOUT, Deadline, Next, PartitionError, Partitioned,
    Reply, Restart, StartError, Supervisor, SupervisorHandle, available_cores, partition,
};

/// So many bots, of which each notes what it is told under its own name.
fn bots(count: usize, journal: &Journal) -> (Supervisor, Partitioned<Msg>) {
    partition("bots", count, |name, _| bot(&name, journal)).expect("a count that may be")
}

fn started(count: usize, journal: &Journal) -> (SupervisorHandle, Partitioned<Msg>) {
    let (supervisor, bots) = bots(count, journal);
    let sup = Supervisor::new("app").supervisor(supervisor.intensity(1_000_000, SECOND));
    (sup.start().expect("starts"), bots)
}

/// A key that this partition is in charge of.
fn key_of(bots: &Partitioned<Msg>, index: usize) -> u64 {
    (0..10_000).find(|key| bots.index_of(key) == index).expect("every partition has keys")
}

// ---- which partition -----------------------------------------------------------------------

#[test]
fn a_key_has_one_partition_whoever_asks_and_over_crashes() {
    let journal = Journal::new();
    let (sup, bots) = started(5, &journal);
    let place = |key: &u64| (bots.index_of(key), bots.of(key).name().to_owned());
    let before: Vec<_> = (0..1000).map(|key| place(&key)).collect();
    assert!(before.iter().all(|(index, name)| *name == format!("bots-{index}")));
    let (clone, again) = (bots.clone(), self::bots(5, &journal).1);
    for index in 0..5 {
        bots.handles()[index].cast(boom()).expect("accepted");
        journal.wait_line(&format!("bots-{index} init 2"));
    }
    for (key, place_before) in (0..1000_u64).zip(&before) {
        assert_eq!(place(&key), *place_before);
        assert_eq!((clone.index_of(&key), again.index_of(&key)), (place_before.0, place_before.0));
        let life = bots.call(&key, Msg::Epoch).expect("answered");
        assert_eq!(life, 2, "the same child, in its second life");
    }
    drop(sup);
}

/// The variable that tells a run of this program to print and do nothing else.
const PRINT: &str = "UNDERPIN_PRINT_PARTITIONS";

fn partitions_of_some_keys() -> String {
    let (_, bots) = bots(1000, &Journal::new());
    let numbers = (0_u64..50).map(|key| bots.index_of(&key));
    let texts = (0..50).map(|key| bots.index_of(&format!("key {key}")));
    numbers.chain(texts).map(|index| format!("{index},")).collect()
}

#[test]
fn a_key_has_the_same_partition_in_every_run() {
    if std::env::var_os(PRINT).is_some() {
        return println!("<{}>", partitions_of_some_keys());
    }
    let mut again = std::process::Command::new(std::env::current_exe().expect("it is a file"));
    again.args(["--exact", "a_key_has_the_same_partition_in_every_run", "--nocapture"]).env(PRINT, "1");
    let printed = again.output().expect("it runs").stdout;
    let printed = String::from_utf8_lossy(&printed);
    assert!(printed.contains(&format!("<{}>", partitions_of_some_keys())), "{printed}");
}

#[test]
fn keys_that_are_equal_have_one_partition() {
    let (_, bots) = bots(64, &Journal::new());
    for number in 0..100 {
        let owned = format!("key {number}");
        assert_eq!(bots.index_of(owned.as_str()), bots.index_of(&owned));
        assert_eq!(bots.index_of(&owned), bots.index_of(&owned.clone().into_boxed_str()));
        assert_eq!(bots.index_of(&(number, owned.as_str())), bots.index_of(&(number, owned.clone())));
    }
}

/// How far the numbers of keys for each partition are from equal: Pearson's chi square, which for
/// `count` partitions is about `count` where keys fall at random.
fn unevenness<K: Hash>(count: usize, keys: impl ExactSizeIterator<Item = K>) -> f64 {
    let (_, bots) = bots(count, &Journal::new());
    let expected = keys.len() as f64 / count as f64;
    let mut seen = vec![0_u32; count];
    keys.for_each(|key| seen[bots.index_of(&key)] += 1);
    seen.iter().map(|&seen| (f64::from(seen) - expected).powi(2) / expected).sum()
}

#[test]
fn keys_spread_evenly_over_the_partitions() {
    const KEYS: u32 = 20_000;
    for count in [2, 3, 8, 64] {
        // Six standard deviations above the mean of chi square.
        let bound = count as f64 + 6.0 * (2.0 * count as f64).sqrt();
        let spreads = [
            ("numbers", unevenness(count, (0..KEYS).map(u64::from))),
            ("multiples of 4096", unevenness(count, (0..KEYS).map(|key| u64::from(key) << 12))),
            ("high numbers", unevenness(count, (0..KEYS).map(|key| u64::from(key) << 40))),
            ("texts", unevenness(count, (0..KEYS).map(|key| format!("user-{key}")))),
            ("pairs", unevenness(count, (0..KEYS).map(|key| (key % 100, key / 100)))),
        ];
        for (keys, spread) in spreads {
            assert!(spread < bound, "{keys} over {count}: {spread} of {bound}");
        }
    }
}

// ---- messages ------------------------------------------------------------------------------

#[test]
fn what_is_sent_for_one_key_is_handled_in_order_over_a_crash() {
    let journal = Journal::new();
    let (sup, bots) = started(3, &journal);
    const KEYS: u64 = 12;
    for round in 0..50 {
        for key in 0..KEYS {
            bots.cast(&key, Msg::Add(key * 100 + round)).expect("accepted");
        }
        if round == 25 {
            bots.handles().iter().for_each(|bot| bot.cast(boom()).expect("accepted"));
        }
    }
    let all = bots.fan_out(Deadline::after(LONG), Msg::Epoch);
    assert!(all.failures.is_empty() && all.answers.iter().all(|(_, life)| *life == 2), "{:?}", all.answers);
    for key in 0..KEYS {
        let of_key = |line: &String| {
            let (name, number) = line.split_once(" add ")?;
            let number: u64 = number.parse().ok()?;
            (number / 100 == key).then(|| (name.to_owned(), number % 100))
        };
        let handled: Vec<_> = journal.all().iter().filter_map(of_key).collect();
        let name = bots.of(&key).name();
        let sent: Vec<_> = (0..50).map(|round| (name.to_owned(), round)).collect();
        assert_eq!(handled, sent, "key {key}");
    }
    drop(sup);
}

#[test]
fn calls_go_to_the_partition_of_the_key_and_keep_their_time() {
    let journal = Journal::new();
    let (sup, bots) = started(4, &journal);
    for index in 0..4 {
        bots.cast(&key_of(&bots, index), Msg::Add(index as u64 + 1)).expect("accepted");
    }
    let total = |index| bots.call_timeout(&key_of(&bots, index), LONG, Msg::Total).expect("answered");
    assert_eq!([total(0), total(1), total(2), total(3)], [1, 2, 3, 4]);
    let (release, begun) = (occupy(&bots.handles()[2]), Instant::now());
    match bots.call_timeout(&key_of(&bots, 2), MS, Msg::Total) {
        Err(CallError::TimedOut { name }) => assert_eq!(&*name, "bots-2"),
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() < DEFAULT_TIMEOUT, "not as long as a call without a time-out");
    assert_eq!(total(1), 2, "the others have nothing to do with it");
    release.open();
    drop(sup);
}

#[test]
fn a_crash_of_one_partition_leaves_the_others_running() {
    let journal = Journal::new();
    let (sup, bots) = started(3, &journal);
    for life in 2..5 {
        bots.cast(&key_of(&bots, 1), boom()).expect("accepted");
        journal.wait_line(&format!("bots-1 init {life}"));
    }
    let lives = bots.fan_out(Deadline::after(LONG), Msg::Epoch);
    let lives: Vec<_> = lives.answers.iter().map(|(name, life)| (&**name, *life)).collect();
    assert_eq!(lives, [("bots-0", 1), ("bots-1", 4), ("bots-2", 1)]);
    drop(sup);
}

#[test]
fn a_partition_that_is_gone_hands_back_and_its_keys_go_to_no_other() {
    let journal = Journal::new();
    let (supervisor, bots) = bots(3, &journal);
    let sup = supervisor.start().expect("it may be a root as well");
    let names: Vec<_> = sup.which_children().iter().map(|child| child.name.to_string()).collect();
    assert_eq!(names, ["bots-0", "bots-1", "bots-2"]);
    let key = key_of(&bots, 1);
    sup.terminate_child("bots-1").expect("terminated");
    match bots.cast(&key, Msg::Add(7)) {
        Err(CastError::Stopped { name, message: Msg::Add(7) }) => assert_eq!(&*name, "bots-1"),
        other => panic!("{other:?}"),
    }
    assert_eq!(bots.index_of(&key), 1);
    sup.restart_child("bots-1").expect("restarted");
    bots.cast(&key, Msg::Add(8)).expect("accepted");
    assert_eq!(bots.call(&key, Msg::Total).expect("answered"), 8);
    drop(sup);
}

#[test]
fn fan_out_tells_good_and_bad_by_partition() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let (supervisor, bots) = bots(4, &journal);
    let sup = supervisor.clock(clock.clone()).start().expect("starts");
    sup.terminate_child("bots-0").expect("terminated");
    let release = occupy(&bots.handles()[2]);
    let (until, asked) = (Deadline::at(clock.now() + SECOND), bots.clone());
    let out = aside(move || {
        let answer = |bot: &mut Bot, _: &mut Context<Bot>, reply: Reply<u64>| {
            reply.send(7);
            bot.note("answered");
            Ok(Next::Continue)
        };
        asked.fan_out(until, |reply| ask(answer)(reply))
    });
    journal.wait_line("bots-1 answered");
    journal.wait_line("bots-3 answered");
    hand.advance(SECOND);
    let out = out.done();
    let good: Vec<_> = out.answers.iter().map(|(name, answer)| (&**name, *answer)).collect();
    assert_eq!(good, [("bots-1", 7), ("bots-3", 7)]);
    match &out.failures[..] {
        [(first, CallError::NotSent(CastError::Stopped { .. })), (third, CallError::TimedOut { .. })] => {
            assert_eq!((&**first, &**third), ("bots-0", "bots-2"));
        }
        other => panic!("{other:?}"),
    }
    release.open();
    drop(sup);
}

// ---- the description -----------------------------------------------------------------------

#[test]
fn a_count_that_cannot_be_is_refused_before_anything_is_described() {
    let mut described = 0;
    let mut refused = |count: usize| {
        let described = &mut described;
        let made = partition("bots", count, move |name, _| {
            *described += 1;
            bot(&name, &Journal::new())
        });
        made.map(|_| ()).expect_err("refused")
    };
    assert_eq!(refused(0), PartitionError::NoPartitions { name: "bots".into() });
    let too_many = PartitionError::TooMany { name: "bots".into(), count: 4097, max: 4096 };
    assert_eq!(refused(4097), too_many);
    assert_eq!(refused(0).to_string(), "`bots` has no partitions, expected at least one");
    assert_eq!(described, 0);
}

#[test]
fn each_partition_is_described_with_its_name_and_number() {
    let journal = Journal::new();
    let (supervisor, bots) = partition("bots", 3, |name, index| {
        assert_eq!(*name, *format!("bots-{index}"));
        bot(&name, &journal).registered().tag("partition", index.to_string()).capacity(index + 1)
    })
    .expect("a count that may be");
    assert_eq!((bots.len(), bots.handles().len()), (3, 3));
    assert_eq!(format!("{bots:?}"), r#"[Handle("bots-0"), Handle("bots-1"), Handle("bots-2")]"#);
    let capacities: Vec<_> = bots.handles().iter().map(|bot| bot.status().capacity).collect();
    assert_eq!(capacities, [1, 2, 3]);
    bots.cast(&key_of(&bots, 2), Msg::Add(5)).expect("it waits for the start");
    let sup = Supervisor::new("app").supervisor(supervisor).start().expect("starts");
    let second = sup.registry().find_tagged::<Msg>("partition", "2");
    assert_eq!(second[0].call(Msg::Total).expect("answered"), 5);
    drop(sup);
}

#[test]
fn two_partitions_of_one_name_are_refused_at_the_start() {
    let journal = Journal::new();
    let (supervisor, _) = partition("bots", 2, |_, _| bot("same", &journal)).expect("a count that may be");
    match supervisor.start() {
        Err(StartError::BadSpec { reason, .. }) => assert!(reason.contains("`same`"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(journal.all().is_empty());
}

#[test]
fn as_many_partitions_as_there_are_cores_are_started_and_end_by_themselves() {
    let journal = Journal::new();
    let count = available_cores();
    assert!(count >= 1);
    let each = |name: std::sync::Arc<str>, _: usize| bot(&name, &journal).restart(Restart::Temporary);
    let (supervisor, bots) = partition("bots", count, each).expect("a machine has no more");
    let sup = Supervisor::new("app").start().expect("starts");
    sup.start_supervisor(supervisor).expect("it may be added later as well");
    for handle in bots.handles() {
        handle.cast(act(|_, _| Ok(Next::Stop))).expect("accepted");
        assert!(handle.wait_down(LONG).is_some());
    }
    drop(sup);
}
