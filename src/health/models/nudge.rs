//! An answer of a check is looked at.

use super::*;
use crate::health::check::Check;
use crate::health::checker::checker;
use crate::health::service::HealthService;
use crate::health::verdict::Verdict;
use crate::supervisor::spec::child;
use crate::testing::Solo;

/// The service looks while a check answers: either it has seen the answer, or it has been asked to look again.
fn answered() {
    let board = board();
    let (spec, seat) = checker(Check::new("a", Verdict::healthy), &board);
    board.add(seat.clone());
    let factory = {
        let board = Arc::clone(&board);
        move || HealthService::new(Arc::clone(&board), std::time::Duration::from_secs(1))
    };
    let (service, mut solo) = Solo::new(child("monitor", factory).capacity(4));
    board.served_by(service.clone());
    let check = thread({
        let (board, service) = (Arc::clone(&board), service.clone());
        move || {
            board.nudge(); // for an answer before
            seat.slot.end(1, Clock::SYSTEM.now(), Verdict::unhealthy("down"));
            board.nudge();
            service.stop().expect("it stops");
        }
    });
    drop(solo.run());
    joined(check);
    assert!(mode_of(&board) == Mode::Emergency || service.status().queued > 0, "it is not looked at");
    drop(spec);
}

#[test]
fn an_answer_is_looked_at() {
    crate::sync::checks::holds_at(2, "answered", answered);
}

#[test]
fn a_look_that_is_taken_for_a_later_one_is_found() {
    finds(Mutant::HeedLate, answered);
}
