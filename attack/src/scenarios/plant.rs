//! Answers that the gateway never gave, planted on the client.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jumpvpn_lab::story::Direction;
use jumpvpn_wire::{
    Cid, HS_RESP_LEN, HsInit, HsResp, HsRetry, Kind, NoSession, ReplyHeader, ResetToken, TAG_LEN,
};
use rand_core::Rng;

use crate::datagram::Datagram;
use crate::siege::Siege;
use crate::snapshot::Snapshot;
use crate::wiretap::{Fate, Origin, Seen};

/// Kinds that a server sends sealed with a header that anybody can write.
const SEALED: [Kind; 4] = [Kind::PathTicket, Kind::ReattachResult, Kind::RebindHint, Kind::CloseAck];

/// Everything a gateway can say, with the client's own connection ids, while its session lives.
pub(crate) fn live(siege: &mut Siege<'_>) -> io::Result<()> {
    siege.last(Duration::from_millis(300))?;
    let laptop = siege.laptop()?;
    let heard: Vec<Seen> = siege.field.trunk.look(|log| {
        let genuine = |seen: &&Seen| seen.direction == Direction::Down && seen.origin == Origin::Wire;
        log.iter().filter(genuine).cloned().collect()
    });
    let cids: Vec<Cid> = heard.iter().filter_map(|seen| cid_of(&seen.datagram.payload)).collect();
    siege.require(!cids.is_empty(), || "no connection id of the client was seen".into());
    for round in 0..1500_u64 {
        let cid = cids[siege.below(cids.len())];
        for forged in forged_answers(siege, cid, round) {
            plant(siege, laptop, forged)?;
        }
        // And what the gateway did say, once more.
        let again = heard[siege.below(heard.len())].datagram.payload.clone();
        plant(siege, laptop, again)?;
    }
    Ok(())
}

/// Cookies and answers to a handshake that is under way: the genuine ones are held up, the planted ones are there first.
pub(crate) fn birth(siege: &mut Siege<'_>) -> io::Result<()> {
    let (field, first) = (siege.field, siege.session.clone());
    siege.tunnel.crash_gateway(&field.program, field.world.site(siege.family))?;
    siege.field.trunk.meddle(|seen| {
        let answers = [Kind::HsRetry.code(), Kind::HsResp.code()];
        if seen.direction == Direction::Down && answers.contains(&seen.datagram.first()) {
            return Fate::Instead(vec![(Duration::from_millis(30), seen.datagram.clone())]);
        }
        Fate::Pass
    });
    let mut looked = siege.field.trunk.look(<[Seen]>::len);
    let mut planted_count = 0;
    siege.until("the client is born again", |siege| {
        let inits: Vec<Seen> = siege.field.trunk.look(|log| {
            let init = |seen: &&Seen| seen.datagram.first() == Kind::HsInit.code();
            log[looked..].iter().filter(init).cloned().collect()
        });
        looked = siege.field.trunk.look(<[Seen]>::len);
        for init in inits {
            let Ok(parsed) = HsInit::parse(&init.datagram.payload) else { continue };
            planted_count += plant_birth(siege, init.datagram.source, parsed.client_cid())?;
        }
        let now = Snapshot::of(&siege.tunnel).ok();
        Ok(now.is_some_and(|now| now.agent.session != first && now.session_of("laptop").is_some()))
    })?;
    siege.require(planted_count > 0, || "no handshake was seen to plant answers on".into());
    siege.figure(format!("{planted_count} planted"));
    siege.settle()?;
    siege.session = siege.baseline.agent.session.clone();
    siege.share = 0.0;
    Ok(())
}

fn plant_birth(siege: &mut Siege<'_>, laptop: SocketAddr, client_cid: Cid) -> io::Result<usize> {
    for _ in 0..20 {
        let mut retry = siege.bytes(HsRetry::LEN);
        retry[..4].copy_from_slice(&[Kind::HsRetry.code(), 0, 0, 0]);
        retry[4..12].copy_from_slice(&client_cid.0.to_le_bytes());
        let noise = siege.bytes(HS_RESP_LEN);
        let mut response = [0; HS_RESP_LEN];
        response.copy_from_slice(&noise);
        HsResp::write_head(&mut response, 1, client_cid, Cid(7));
        plant(siege, laptop, retry)?;
        plant(siege, laptop, response.to_vec())?;
    }
    Ok(40)
}

fn forged_answers(siege: &mut Siege<'_>, cid: Cid, round: u64) -> Vec<Vec<u8>> {
    let mut forged = Vec::new();
    for kind in SEALED {
        let header = ReplyHeader { kind, epoch: 1, cid, sseq: 1 << 32 | round };
        let mut datagram = header.encode().to_vec();
        datagram.extend(siege.bytes(kind.min_len() - ReplyHeader::LEN));
        forged.push(datagram);
    }
    let mut reset = [0; 16];
    siege.rng.fill_bytes(&mut reset);
    forged.push(
        NoSession { client_cid: cid, cseq: round, orphaned: round & 1 == 1, reset_token: ResetToken(reset) }
            .encode()
            .to_vec(),
    );
    let mut data = siege.bytes(64 + TAG_LEN);
    data[..4].copy_from_slice(&[Kind::Data.code(), 0, 0, 0]);
    data[4..12].copy_from_slice(&cid.0.to_le_bytes());
    forged.push(data);
    for (kind, len) in [(Kind::HsRetry, HsRetry::LEN), (Kind::HsResp, HS_RESP_LEN)] {
        let mut datagram = siege.bytes(len);
        datagram[..4].copy_from_slice(&[kind.code(), 0, 0, 0]);
        datagram[4..12].copy_from_slice(&cid.0.to_le_bytes());
        forged.push(datagram);
    }
    forged
}

/// Which connection id of the client a datagram of the gateway names.
fn cid_of(datagram: &[u8]) -> Option<Cid> {
    let raw: [u8; 8] = datagram.get(4..12)?.try_into().ok()?;
    Some(Cid(u64::from_le_bytes(raw)))
}

fn plant(siege: &mut Siege<'_>, laptop: SocketAddr, payload: Vec<u8>) -> io::Result<()> {
    let source = siege.gateway();
    let forged = Datagram { source, destination: laptop, payload };
    siege.plant(forged)
}
