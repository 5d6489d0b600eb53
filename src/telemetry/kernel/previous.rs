//! The tree as it was at the last look, and what the next one makes of it.

use super::known::Known;
use super::names::{SERVICE, SUPERVISOR, TREE, TREE_SERVICES, TREE_SUMMED, TREE_UP, TREE_ZOMBIES};
use super::rising::Rising;
use super::service::{Figures, ServiceSeen, States, Totals};
use super::supervisor::SupervisorFigures;
use crate::service::exit::Lifecycle;
use crate::supervisor::child::ChildKind;
use crate::supervisor::inspect::NodeInfo;
use crate::telemetry::sheet::Sheet;

/// The tree as it was at the last look.
#[derive(Debug, Default)]
pub(super) struct Previous {
    look: u64,
    services: Known<ServiceSeen>,
    supervisors: Known<Rising>,
    /// All that ever came in services without series of their own; `None` while there was none.
    summed: Option<Totals>,
    /// The restarts of supervisors without series of their own; `None` while there was none.
    summed_restarts: Option<u64>,
}

/// What all have in common, as one look goes on.
#[derive(Debug, Default)]
struct Look<'a> {
    states: States,
    zombies: usize,
    /// Those without series of their own.
    summed: usize,
    services: Figures,
    supervisors: SupervisorFigures,
    unanswered: Vec<&'a str>,
}

/// Writes what a tree shows of itself: of at most `most` services and as many supervisors one by one, of the others
/// together. `before` is what the last look left.
pub(super) fn kernel_sheet(
    tree: &str,
    root: &NodeInfo,
    before: &mut Previous,
    most: usize,
    sheet: &mut Sheet,
) {
    before.look += 1;
    let mut look = Look::default();
    for node in root.walk() {
        match node.kind {
            ChildKind::Worker => before.write_service(node, most, &mut look, sheet),
            ChildKind::Supervisor => before.write_supervisor(node, most, &mut look, sheet),
        }
    }
    before.services.forget(before.look, &look.unanswered);
    before.supervisors.forget(before.look, &look.unanswered);
    before.write_summed(tree, &look, sheet);
    look.write(tree, sheet);
}

/// Writes that the tree does not answer. What is known of it stays known.
pub(super) fn tree_is_down(tree: &str, sheet: &mut Sheet) {
    sheet.gauge(&TREE_UP, &[(TREE, tree)], 0.0);
}

impl Previous {
    fn write_service(&mut self, node: &NodeInfo, most: usize, look: &mut Look<'_>, sheet: &mut Sheet) {
        let entry = self.services.visit(&node.path, self.look, most);
        let (figures, came) = entry.seen.look(node);
        figures.count_state(&mut look.states);
        if entry.is_alone {
            figures.write(&[(SERVICE, &node.path)], &entry.seen.totals(), sheet);
            return;
        }
        look.summed += 1;
        look.services.add(&figures);
        self.summed.get_or_insert_default().add(&came);
    }

    fn write_supervisor<'a>(
        &mut self,
        node: &'a NodeInfo,
        most: usize,
        look: &mut Look<'a>,
        sheet: &mut Sheet,
    ) {
        let entry = self.supervisors.visit(&node.path, self.look, most);
        let (figures, came) = (SupervisorFigures::of(node), entry.seen.look(node.restarts));
        match &node.supervisor {
            Some(own) => look.zombies += own.abandoned,
            None => look.unanswered.push(&node.path),
        }
        if entry.is_alone {
            figures.write(&[(SUPERVISOR, &node.path)], entry.seen.total(), sheet);
            return;
        }
        look.summed += 1;
        look.supervisors.add(&figures);
        let restarts = self.summed_restarts.get_or_insert_default();
        *restarts = restarts.saturating_add(came);
    }

    /// Once such series are there they stay: their totals are not to fall.
    fn write_summed(&self, tree: &str, look: &Look<'_>, sheet: &mut Sheet) {
        let labels = [(TREE, tree), ("overflow", "true")];
        if let Some(totals) = &self.summed {
            look.services.write(&labels, totals, sheet);
        }
        if let Some(restarts) = self.summed_restarts {
            look.supervisors.write(&labels, restarts, sheet);
        }
    }
}

impl Look<'_> {
    fn write(&self, tree: &str, sheet: &mut Sheet) {
        let labels = [(TREE, tree)];
        sheet.gauge(&TREE_UP, &labels, 1.0);
        sheet.gauge(&TREE_ZOMBIES, &labels, self.zombies as f64);
        sheet.gauge(&TREE_SUMMED, &labels, self.summed as f64);
        for (state, count) in Lifecycle::ALL.iter().zip(self.states) {
            sheet.gauge(&TREE_SERVICES, &[(TREE, tree), ("state", state.as_str())], f64::from(count));
        }
    }
}
