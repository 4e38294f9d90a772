//! A ticket is good for exactly one binding, one version, five seconds and one process.

use super::*;
use crate::testing::rng;
use crate::token::tests::Zeros;

const AGE: Duration = Duration::from_secs(5);
const SERVER: Cid = Cid(0x77);

fn binding() -> TicketBinding {
    TicketBinding {
        handle: Handle::from_parts(1, 2),
        owner_epoch: 3,
        version: 4,
        path_id: PathId(5),
        class: TransportClass::Udp,
        observed: "192.0.2.1:1000".parse().unwrap(),
        local: "198.51.100.1:443".parse().unwrap(),
        client_cid: Cid(6),
    }
}

/// Every binding that differs in one field.
fn neighbours() -> Vec<TicketBinding> {
    let base = binding();
    vec![
        TicketBinding { handle: Handle::from_parts(1, 3), ..base },
        TicketBinding { owner_epoch: 4, ..base },
        TicketBinding { version: 5, ..base },
        TicketBinding { path_id: PathId(6), ..base },
        TicketBinding { class: TransportClass::Tls, ..base },
        TicketBinding { observed: "192.0.2.2:1000".parse().unwrap(), ..base },
        TicketBinding { observed: "192.0.2.1:1001".parse().unwrap(), ..base },
        TicketBinding { local: "198.51.100.1:444".parse().unwrap(), ..base },
        TicketBinding { local: "198.51.100.2:443".parse().unwrap(), ..base },
        TicketBinding { client_cid: Cid(7), ..base },
    ]
}

#[test]
fn keys_change_exactly_at_their_time() {
    let start = Time::from_millis(1_000_000);
    let id_after = |age: Duration| {
        let mut keys = TicketKeys::new(start, &mut rng(1)).unwrap();
        keys.refresh(start + age, &mut rng(2)).unwrap();
        keys.issue(start + age, &binding(), SERVER).0[0]
    };
    assert_eq!(id_after(TICKET_ROTATION - Duration::from_nanos(1)), 1);
    assert_eq!(id_after(TICKET_ROTATION), 2);
}

#[test]
fn the_bound_values_fill_their_encoding() {
    // handle 6, owner epoch 8, version 8, path 4, class 1, two addresses of 20, client CID 8
    assert_eq!(fields(&binding()).len(), 75);
}

#[test]
fn a_ticket_is_good_for_its_binding_alone() {
    let now = Time::from_millis(1_000_000);
    let keys = TicketKeys::new(now, &mut rng(1)).unwrap();
    let ticket = keys.issue(now, &binding(), SERVER);
    assert_eq!(keys.check(now, &binding(), &ticket, AGE), Ok(SERVER));
    for other in neighbours() {
        assert_eq!(keys.check(now, &other, &ticket, AGE), Err(Reason::StaleTicket), "{other:?}");
    }
    for bit in 0..32 * 8 {
        let mut forged = ticket;
        forged.0[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(keys.check(now, &binding(), &forged, AGE), Err(Reason::StaleTicket), "bit {bit}");
    }
    let mapped = TicketBinding { observed: "[::ffff:192.0.2.1]:1000".parse().unwrap(), ..binding() };
    assert_eq!(keys.check(now, &mapped, &ticket, AGE), Ok(SERVER), "one address, two spellings");
}

#[test]
fn a_ticket_of_a_committed_version_is_dead() {
    let now = Time::from_millis(7);
    let keys = TicketKeys::new(now, &mut rng(2)).unwrap();
    let tickets: Vec<_> = (0..8)
        .map(|path| {
            let binding = TicketBinding { path_id: PathId(path), ..binding() };
            (binding, keys.issue(now, &binding, SERVER))
        })
        .collect();
    for (binding, ticket) in &tickets {
        assert!(keys.check(now, binding, ticket, AGE).is_ok());
        let next = TicketBinding { version: binding.version + 1, ..*binding };
        assert_eq!(keys.check(now, &next, ticket, AGE), Err(Reason::StaleTicket));
    }
}

#[test]
fn age_is_exact_also_where_the_clock_turns_over() {
    for start in [0, 10_000, (1 << 32) - 1, (1 << 32) - 2_500, (1 << 40) + 17] {
        let start = Time::from_millis(start);
        let keys = TicketKeys::new(start, &mut rng(3)).unwrap();
        let ticket = keys.issue(start, &binding(), SERVER);
        assert!(keys.check(start + AGE, &binding(), &ticket, AGE).is_ok());
        let late = start + AGE + Duration::from_millis(1);
        assert_eq!(keys.check(late, &binding(), &ticket, AGE), Err(Reason::StaleTicket));
        if start > Time::ZERO {
            let early = start - Duration::from_millis(1);
            assert_eq!(keys.check(early, &binding(), &ticket, AGE), Err(Reason::StaleTicket), "future");
        }
    }
}

#[test]
fn a_ticket_survives_one_rotation_and_not_two() {
    let mut rng = rng(4);
    let start = Time::from_millis(5);
    let mut keys = TicketKeys::new(start, &mut rng).unwrap();
    let late = start + TICKET_ROTATION - Duration::from_millis(1);
    keys.refresh(late, &mut rng).unwrap();
    let ticket = keys.issue(late, &binding(), SERVER);
    assert_eq!(ticket.0[0], 1);
    let turn = start + TICKET_ROTATION;
    keys.refresh(turn, &mut rng).unwrap();
    assert_eq!(keys.issue(turn, &binding(), SERVER).0[0], 2);
    assert!(keys.check(turn, &binding(), &ticket, AGE).is_ok());
    keys.refresh(turn + TICKET_ROTATION, &mut rng).unwrap();
    let patient = Duration::from_secs(3600);
    assert_eq!(keys.check(turn + TICKET_ROTATION, &binding(), &ticket, patient), Err(Reason::StaleTicket));
}

#[test]
fn a_key_that_nobody_rotates_still_dies() {
    let start = Time::from_millis(5);
    let keys = TicketKeys::new(start, &mut rng(5)).unwrap();
    let ticket = keys.issue(start, &binding(), SERVER);
    let patient = Duration::from_secs(3600);
    let end = start + 2 * TICKET_ROTATION;
    assert!(keys.check(end - Duration::from_millis(1), &binding(), &ticket, patient).is_ok());
    assert_eq!(keys.check(end, &binding(), &ticket, patient), Err(Reason::StaleTicket));
}

#[test]
fn key_ids_skip_zero_and_processes_do_not_share_keys() {
    let mut rng = rng(6);
    let mut now = Time::ZERO;
    let mut keys = TicketKeys::new(now, &mut rng).unwrap();
    for _ in 0..600 {
        assert_ne!(keys.issue(now, &binding(), SERVER).0[0], 0);
        now += TICKET_ROTATION;
        keys.refresh(now, &mut rng).unwrap();
    }
    assert_eq!(keys.check(now, &binding(), &Ticket([0; 32]), AGE), Err(Reason::StaleTicket));
    let first = TicketKeys::new(now, &mut rng).unwrap();
    let second = TicketKeys::new(now, &mut rng).unwrap();
    let ticket = first.issue(now, &binding(), SERVER);
    assert_eq!(second.check(now, &binding(), &ticket, AGE), Err(Reason::StaleTicket));
}

#[test]
fn a_zero_key_is_refused_and_the_old_ones_stay() {
    assert_eq!(TicketKeys::new(Time::ZERO, &mut Zeros).err(), Some(WeakRandomness));
    let mut keys = TicketKeys::new(Time::ZERO, &mut rng(7)).unwrap();
    let late = Time::ZERO + TICKET_ROTATION;
    let ticket = keys.issue(late, &binding(), SERVER);
    assert_eq!(keys.refresh(late, &mut Zeros), Err(WeakRandomness));
    assert!(keys.check(late, &binding(), &ticket, AGE).is_ok());
}
