//! The supervision tree. The order of its children is the order of its shutdown, see the top page.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::time::Duration;

use underpin::config::Config;
use underpin::events::{Entry, EventStore};
use underpin::telemetry::Telemetry;
use underpin::{ChildSpec, DynamicSupervisor, Foundation, Handle, Supervisor};

use crate::archive::Archive;
use crate::args::{Args, Job};
use crate::bell::Bell;
use crate::board::Board;
use crate::desk::{Books, Desk};
use crate::doors::Doors;
use crate::foreman::{self, Crew};
use crate::forward::Forwarding;
use crate::hang::{self, GRACE, STUCK};
use crate::parser::{self, Place, Tools};
use crate::router::Router;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::{
    acks, alarms, chaos, drain, events, gate, last_look, listener, log, medic, meter, metrics, progress,
    sink, udp,
};

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
    pub(crate) config: Config<Settings>,
    pub(crate) archive: Archive,
    pub(crate) forwarding: Option<Arc<Forwarding>>,
    crew: Arc<Crew>,
    desk_of_sink: Arc<Desk>,
}

impl Tree {
    /// Counts what lies on the desks and what was not forwarded. To be called when everything has stopped.
    pub(crate) fn clear_desks(&self) {
        self.crew.desks().iter().chain([&self.desk_of_sink]).for_each(|desk| desk.clear());
        self.forwarding.iter().for_each(|forwarding| forwarding.close());
    }
}

/// Listens.
///
/// # Errors
///
/// One line that says why this address cannot be listened on, and who said it.
pub(crate) fn bind(config: &Config<Settings>) -> Result<Arc<Doors>, String> {
    let listen = config.load().listen;
    let origin = config.origin("listen").map(|origin| origin.to_string()).unwrap_or_default();
    Doors::bind(listen).map_err(|error| format!("listen: {listen}: {error} ({origin})"))
}

/// Starts the tree; without doors, it is fed from within. Whoever is to be shown what alerts raise and clear is shown
/// the events; else it is said on stderr.
///
/// # Errors
///
/// One line that says what cannot be started.
pub(crate) fn plant(
    args: &Args,
    config: &Config<Settings>,
    stats: &Arc<Stats>,
    doors: Option<&Arc<Doors>>,
    shown: Option<Sender<Entry>>,
) -> Result<Tree, String> {
    log::follow(config);
    if let Some(path) = &args.out {
        sink::prepare(path, args.job.files().iter().chain(&args.config))?;
    }
    let telemetry = metrics::telemetry(args)?;
    let health = metrics::health(args);
    let archive = Archive::open(args.data.as_deref(), matches!(args.job, Job::Demo(_)))?;
    let means = alarms::Means {
        store: archive.store().clone(),
        config: config.clone(),
        stats: Arc::clone(stats),
        shown,
    };
    let alarms = alarms::spec(&health, means);
    let forwarding = Forwarding::new(config, stats, Arc::new(Bell::new(alarms.handle())))?;
    if args.chaos_forward.is_some() && forwarding.is_none() {
        return Err("--chaos-forward: nothing is forwarded: it needs --forward, or forward.address".into());
    }
    let (pipeline, parts) = pipeline(args, config, stats, archive.store(), &telemetry, &forwarding);
    let board = args.ack.then(Board::default);
    let medic = args.hang.map(|_| medic::spec(pipeline.reference()));
    let to_medic = medic.as_ref().map(ChildSpec::handle);
    let mut root = Foundation::builder("collector")
        .shutdown_timeout(STOP)
        .max_abandoned(hang::MOST)
        .config(config)
        .telemetry(&telemetry)
        .health(&health)
        .alerts(config, |settings| settings.alerts.clone())
        .on_signals()
        .on_event(events::hook(to_medic.clone()));
    if let Job::Demo(lines) = args.job
        && std::io::stderr().is_terminal()
    {
        root = root.child(progress::spec(stats, lines)); // first, so that it sees everything
    }
    if let Some(board) = &board {
        root = root.child(acks::spec(board));
    }
    // Not by `Foundation::events`, which has the store start first: `acks` would stop before it. And a journal of lines
    // has room for alerts, not for each change of the health.
    root = root.supervisor(archive.store().supervisor());
    root = root.child(alarms);
    if let Some(medic) = medic {
        root = root.child(medic);
    }
    if let Some(forwarding) = &forwarding {
        forwarding.measure(&telemetry);
        root = root.supervisor(forwarding.supervisor()?);
    }
    // A server ends when it is told to, and says who hangs then. The others may take their time.
    let to_wait_for = to_medic.filter(|_| args.job != Job::Serve);
    let foreman = foreman::spec(&parts.crew, pipeline.reference(), &parts.router, config)?;
    let drain = drain::spec(Arc::clone(&parts.crew), parts.sink, to_wait_for, forwarding.clone());
    let last_look = last_look::spec(pipeline.reference(), &telemetry);
    root = root.supervisor(pipeline).child(last_look).child(drain).child(foreman);
    if let Some(doors) = doors {
        root = root.supervisor(intake(doors, &parts.router, board));
    }
    if let Some(every) = args.chaos {
        root = root.child(chaos::crashes(&parts.crew, every));
    }
    if let Some(every) = args.hang {
        root = root.child(chaos::hangs(&parts.crew, every));
    }
    if let (Some(every), Some(forwarding)) = (args.chaos_forward, &forwarding) {
        root = root.child(chaos::forwarder_crashes(forwarding, every));
    }
    let foundation = root.start().map_err(|error| error.to_string())?;
    let Parts { router, crew, desk_of_sink, .. } = parts;
    Ok(Tree { foundation, router, config: config.clone(), archive, forwarding, crew, desk_of_sink })
}

/// What others need of the pipeline.
struct Parts {
    router: Router,
    sink: Handle<sink::Msg>,
    crew: Arc<Crew>,
    desk_of_sink: Arc<Desk>,
}

fn pipeline(
    args: &Args,
    config: &Config<Settings>,
    stats: &Arc<Stats>,
    store: &EventStore,
    telemetry: &Telemetry,
    forwarding: &Option<Arc<Forwarding>>,
) -> (Supervisor, Parts) {
    let books = Books::new(stats, meter::lost(telemetry));
    let desk = Desk::new(&books);
    let sink_spec = sink::spec(&desk, args.out.clone());
    let sink = sink_spec.handle();
    let mut pipeline = Supervisor::new("pipeline").intensity(CRASHES.0, CRASHES.1).child(sink_spec);
    let tools = Tools {
        sink: sink.clone(),
        config: config.clone(),
        store: store.clone(),
        telemetry: telemetry.clone(),
        records: args.out.is_some(),
        forwarding: forwarding.clone(),
    };
    let crew = Arc::new(crew(tools, books, args.hang.is_some()));
    for _ in 0..config.load().workers {
        pipeline = crew.hire_into(pipeline);
    }
    let router = Router::new(crew.parsers(), config.clone(), Arc::clone(stats));
    (pipeline, Parts { router, sink, crew, desk_of_sink: desk })
}

fn crew(tools: Tools, books: Books, is_to_hang: bool) -> Crew {
    Crew::new(move |index| {
        let place = new_place(&books);
        let mut parser = parser::spec(index, Arc::clone(&place), tools.clone());
        if is_to_hang {
            parser = parser.stuck_after(STUCK).shutdown(GRACE);
        }
        (parser, place)
    })
}

fn new_place(books: &Books) -> Arc<Place> {
    Arc::new(Place { desk: Desk::new(books), crash: AtomicBool::new(false), hang: AtomicBool::new(false) })
}

fn intake(doors: &Arc<Doors>, router: &Router, board: Option<Board>) -> Supervisor {
    let connections = DynamicSupervisor::new("connections")
        .max_children(listener::most_connections())
        .shutdown(CONNECTIONS_STOP);
    let reference = connections.reference();
    Supervisor::new("intake")
        .intensity(FAILURES.0, FAILURES.1)
        .supervisor(connections)
        .child(udp::spec(doors, router.clone()))
        .child(listener::spec(doors, reference, router.clone(), board))
        .child(gate::spec(doors))
}
