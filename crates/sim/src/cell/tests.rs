//! Cells repeat themselves to the byte, and each of their invariants can fail.
use super::*;
use crate::report::Figures;

const SHORT: Options = Options { seconds: 40, trace_lines: 0 };

#[test]
fn two_runs_of_a_cell_are_the_same() {
    let told = Options { trace_lines: usize::MAX, ..SHORT };
    for seed in 0..3 {
        let (first, second) = (tell_cell(seed, told, None), tell_cell(seed, told, None));
        assert_eq!(first.1, second.1, "seed {seed}");
        assert_eq!(first.0.unwrap().digest, second.0.unwrap().digest, "seed {seed}");
    }
}

/// Worlds in which a planted bug has to show: the first 20 were enough for each.
const PLANTED_SEEDS: u64 = 60;

fn is_noticed(invariant: Invariant) {
    let noticed = (0..PLANTED_SEEDS).any(|seed| {
        run_cell(seed, SHORT, Some(invariant)).is_err_and(|failure| failure.invariant == invariant)
    });
    assert!(noticed, "{}", invariant.name());
}

#[test]
fn a_session_that_is_taken_from_the_living_is_noticed() {
    is_noticed(Invariant::OneServes);
}

#[test]
fn an_epoch_that_is_granted_twice_is_noticed() {
    is_noticed(Invariant::OneGrant);
}

#[test]
fn a_store_that_is_put_back_silently_is_noticed() {
    is_noticed(Invariant::NoStepBack);
}

#[test]
fn a_death_before_the_fence_is_noticed() {
    is_noticed(Invariant::DeadIsSilent);
}

#[test]
fn a_handoff_that_is_given_up_too_early_is_noticed() {
    is_noticed(Invariant::FrozenIsSilent);
}

#[test]
fn an_address_with_two_sessions_is_noticed() {
    is_noticed(Invariant::OneHolder);
}

#[test]
fn a_sink_that_changes_something_is_noticed() {
    is_noticed(Invariant::SinkIsMute);
}

#[test]
fn sessions_that_never_come_back_are_noticed() {
    is_noticed(Invariant::CellLiveness);
}

/// For these neither engine nor node offers a switch: what the world sees of them is altered.
#[test]
fn what_is_forged_in_the_trace_is_noticed() {
    for invariant in [
        Invariant::NoOldEpoch,
        Invariant::NonceOnce,
        Invariant::ProvenWrites,
        Invariant::FencedStops,
        Invariant::CellMemory,
        Invariant::OverIsOver,
    ] {
        is_noticed(invariant);
    }
}

#[test]
fn a_large_batch_of_cells_in_which_nothing_happened_covers_nothing() {
    let missing = CellReport { seeds: CellFigures::COVERED_AFTER, ..CellReport::default() }.missing();
    assert!(missing.len() > 50, "{missing:?}");
}
