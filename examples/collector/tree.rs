//! The supervision tree. The order of its children is the order of its shutdown, see the top page.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use underpin::{ChildSpec, DynamicSupervisor, Foundation, Handle, Supervisor};

use crate::args::{Args, Job};
use crate::desk::Desk;
use crate::doors::Doors;
use crate::hang::{self, GRACE, STUCK};
use crate::parser::{self, Place};
use crate::router::Router;
use crate::stats::Stats;
use crate::{chaos, drain, events, gate, listener, medic, progress, sink, udp};

/// How often parsers may crash. A line that crashes its parser costs that line, however often it
/// comes: there is nothing to escalate to.
const CRASHES: (u32, Duration) = (100_000, Duration::from_secs(10));
/// How often a listening socket may fail.
const FAILURES: (u32, Duration) = (10, Duration::from_secs(10));
/// How long all connections together may take to stop.
const CONNECTIONS_STOP: Duration = Duration::from_secs(10);
/// How long everything may take to stop.
const STOP: Duration = Duration::from_secs(60);

/// The running tree, and what the rest of the program needs of it.
pub(crate) struct Tree {
    pub(crate) foundation: Foundation,
    pub(crate) router: Router,
    pub(crate) desks: Vec<Arc<Desk>>,
}

/// Listens.
///
/// # Errors
///
/// One line that says why this address cannot be listened on.
pub(crate) fn bind(listen: SocketAddr) -> Result<Arc<Doors>, String> {
    Doors::bind(listen).map_err(|error| format!("--listen: {listen}: {error}"))
}

/// Starts the tree; without doors, it is fed from within.
///
/// # Errors
///
/// One line that says what cannot be started.
pub(crate) fn plant(args: &Args, stats: &Arc<Stats>, doors: Option<&Arc<Doors>>) -> Result<Tree, String> {
    if let Some(path) = &args.out {
        sink::prepare(path, args.job.files())?;
    }
    let (pipeline, parts) = pipeline(args, stats);
    let medic = args.hang.map(|_| medic::spec(pipeline.reference()));
    let to_medic = medic.as_ref().map(ChildSpec::handle);
    let mut root = Foundation::builder("collector")
        .shutdown_timeout(STOP)
        .max_abandoned(hang::MOST)
        .on_signals()
        .on_event(events::hook(to_medic.clone()));
    if let Job::Demo(lines) = args.job
        && std::io::stderr().is_terminal()
    {
        root = root.child(progress::spec(stats, lines)); // first, so that it sees everything
    }
    if let Some(medic) = medic {
        root = root.child(medic);
    }
    // A server ends when it is told to, and says who hangs then. The others may take their time.
    let to_wait_for = to_medic.filter(|_| args.job != Job::Serve);
    root = root.supervisor(pipeline).child(drain::spec(parts.router.clone(), parts.sink, to_wait_for));
    if let Some(doors) = doors {
        root = root.supervisor(intake(doors, &parts.router));
    }
    if let Some(every) = args.chaos {
        root = root.child(chaos::crashes(&parts.places, every));
    }
    if let Some(every) = args.hang {
        root = root.child(chaos::hangs(&parts.places, every));
    }
    let foundation = root.start().map_err(|error| error.to_string())?;
    Ok(Tree { foundation, router: parts.router, desks: parts.desks })
}

/// What others need of the pipeline.
struct Parts {
    router: Router,
    sink: Handle<sink::Msg>,
    places: Vec<Arc<Place>>,
    desks: Vec<Arc<Desk>>,
}

fn pipeline(args: &Args, stats: &Arc<Stats>) -> (Supervisor, Parts) {
    let desk = Desk::new(stats);
    let sink_spec = sink::spec(stats, &desk, args.out.clone());
    let sink = sink_spec.handle();
    let mut pipeline = Supervisor::new("pipeline").intensity(CRASHES.0, CRASHES.1).child(sink_spec);
    let places: Vec<_> = (0..args.workers).map(|_| new_place(stats)).collect();
    let mut parsers = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let mut parser = parser::spec(index, Arc::clone(place), sink.clone(), args.out.is_some());
        if args.hang.is_some() {
            parser = parser.stuck_after(STUCK).shutdown(GRACE);
        }
        parsers.push(parser.handle());
        pipeline = pipeline.child(parser);
    }
    let desks = places.iter().map(|place| Arc::clone(&place.desk)).chain([desk]).collect();
    let router = Router::new(parsers, Arc::clone(stats));
    (pipeline, Parts { router, sink, places, desks })
}

fn new_place(stats: &Arc<Stats>) -> Arc<Place> {
    Arc::new(Place { desk: Desk::new(stats), crash: AtomicBool::new(false), hang: AtomicBool::new(false) })
}

fn intake(doors: &Arc<Doors>, router: &Router) -> Supervisor {
    let connections = DynamicSupervisor::new("connections")
        .max_children(listener::most_connections())
        .shutdown(CONNECTIONS_STOP);
    let reference = connections.reference();
    Supervisor::new("intake")
        .intensity(FAILURES.0, FAILURES.1)
        .supervisor(connections)
        .child(udp::spec(doors, router.clone()))
        .child(listener::spec(doors, reference, router.clone()))
        .child(gate::spec(doors))
}
