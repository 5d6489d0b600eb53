//! What has happened is told, whichever life it happened in.

use super::*;

/// A life ends with the news in hand: the next one tells them. Nothing that has changed stays untold.
fn left_over() {
    let board = board();
    let heard = Heard::on(&board);
    let life = thread({
        let board = Arc::clone(&board);
        move || {
            board.begin(1, Clock::SYSTEM.now());
            board.take_in(1, report(Clock::SYSTEM.now(), Health::Degraded), None);
            drop(board.next(1)); // and no further
        }
    });
    live(&board, 2, Health::Unhealthy);
    joined(life);
    board.begin(3, Clock::SYSTEM.now());
    board.deliver(3);
    assert!(heard.is_chained());
    assert_eq!(heard.last(), mode_of(&board));
}

/// A life that was given up tells nothing that the next one tells.
fn given_up() {
    let board = board();
    let heard = Heard::on(&board);
    board.begin(1, Clock::SYSTEM.now());
    board.take_in(1, report(Clock::SYSTEM.now(), Health::Degraded), None);
    board.begin(2, Clock::SYSTEM.now());
    let life = thread({
        let board = Arc::clone(&board);
        move || board.deliver(1)
    });
    board.deliver(2);
    joined(life);
    assert_eq!(heard.modes(), [Mode::Reduced]);
}

/// Two lives look at once, one of them given up: what is read is what was told last, and each change begins
/// where the one before ended.
fn two_lives() {
    let board = board();
    let heard = Heard::on(&board);
    let life = thread({
        let board = Arc::clone(&board);
        move || live(&board, 1, Health::Degraded)
    });
    live(&board, 2, Health::Unhealthy);
    joined(life);
    assert!(heard.is_chained());
    assert_eq!(heard.last(), mode_of(&board));
}

/// Who reads the mode in between sees it rise.
fn read() {
    let board = board();
    let life = thread({
        let board = Arc::clone(&board);
        move || {
            live(&board, 1, Health::Degraded);
            board.take_in(1, report(Clock::SYSTEM.now(), Health::Unhealthy), None);
        }
    });
    let (first, second) = (mode_of(&board), mode_of(&board));
    joined(life);
    assert!(first <= second && mode_of(&board) == Mode::Emergency, "{first} {second}");
}

#[test]
fn what_a_life_left_is_told_by_the_next() {
    holds("left over", left_over);
}

#[test]
fn news_that_are_taken_out_before_they_are_told_are_found() {
    finds(Mutant::TellTakenOut, left_over);
}

#[test]
fn a_life_that_was_given_up_tells_nothing() {
    holds("given up", given_up);
}

#[test]
fn a_life_that_tells_though_it_was_given_up_is_found() {
    finds(Mutant::TellForAnyLife, given_up);
}

#[test]
fn what_is_read_is_what_was_told() {
    holds("two lives", two_lives);
    holds("read", read);
}

#[test]
fn a_mode_that_is_shown_apart_from_its_change_is_found() {
    finds(Mutant::ShowApart, two_lives);
}
