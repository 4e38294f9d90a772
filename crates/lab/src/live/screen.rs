//! One picture of the lab, as text with escape sequences.

use std::fmt::Write;
use std::time::Duration;

use super::keys::KEYS;
use super::lab::LiveLab;
use crate::story::{Direction, Uplink};
use crate::tunnel::PathStatus;

/// Cursor to the upper left corner.
const HOME: &str = "\x1b[H";
/// Erase to the end of the line, to the end of the screen.
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";
pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const PLAIN: &str = "\x1b[0m";

/// The whole picture for a terminal of `width` columns.
pub fn picture(lab: &LiveLab<'_>, width: usize) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    draw(lab, &mut text).ok();
    framed(&text, width)
}

/// Text as a whole picture that replaces the one before.
pub(crate) fn framed(text: &str, width: usize) -> String {
    let mut picture = HOME.to_owned();
    let colour = std::env::var_os("NO_COLOR").is_none();
    for line in text.lines() {
        picture.push_str(&fitted(line, width, colour));
        picture.push_str(ERASE_LINE);
        picture.push_str("\r\n");
    }
    picture + ERASE_BELOW
}

fn draw(lab: &LiveLab<'_>, out: &mut String) -> std::fmt::Result {
    let seen = lab.seen();
    let session = seen.status.session.as_deref().map_or("no session", |id| id.get(..8).unwrap_or(id));
    let seconds = lab.age().as_secs();
    writeln!(
        out,
        "{BOLD}Jumping VPN lab{PLAIN}   session {session} {}   jumps {}   {:02}:{:02}\n",
        seen.status.state,
        seen.status.jumps.unwrap_or(0),
        seconds / 60,
        seconds % 60,
    )?;
    writeln!(out, "  laptop ─┬─ wlan0 ── Wi-Fi router ─┬─ internet ── gateway ── server")?;
    writeln!(out, "          └─ wwan0 ── LTE router ───┘\n")?;
    writeln!(out, "    uplink  path             binding         rtt    loss  condition")?;
    for (index, uplink) in Uplink::ALL.into_iter().enumerate() {
        draw_uplink(lab, index, uplink, out)?;
    }
    draw_streams(lab, out)?;
    match lab.last_fault() {
        Some((what, ago)) => writeln!(out, "\n  last: {BOLD}{what}{PLAIN}, {:.1} s ago", ago.as_secs_f64())?,
        None => writeln!(out, "\n  nothing has happened yet")?,
    }
    if let Some(jump) = &seen.status.last_jump {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (from, to, reason) = (text(&jump.from), text(&jump.to), text(&jump.reason));
        let detect = jump.detect_ms.map_or_else(String::new, |ms| format!(", detected in {ms:.1} ms"));
        writeln!(out, "  jump: {from} → {to}, {reason}{detect}")?;
    }
    writeln!(out, "  {RED}{}{PLAIN}\n", lab.message())?;
    draw_help(lab, out)
}

fn draw_uplink(lab: &LiveLab<'_>, index: usize, uplink: Uplink, out: &mut String) -> std::fmt::Result {
    let none = PathStatus::default();
    let paths = &lab.seen().status.paths;
    let path = paths.iter().find(|path| path.runs_over(uplink.interface())).unwrap_or(&none);
    let mark = if lab.selected() == uplink { ">" } else { " " };
    let colour = if path.binding.eq_ignore_ascii_case("active") { GREEN } else { "" };
    let fault = lab.fault(uplink);
    let condition = KEYS
        .iter()
        .find(|(_, known, _)| Some(*known) == fault)
        .map_or("clear", |(.., text)| text.trim_end_matches("/up"));
    writeln!(
        out,
        "{mark} {} {:<6}  {:<15}  {colour}{:<10}{PLAIN}  {:>8}  {:>6}  {condition}",
        index + 1,
        uplink.name(),
        path.name,
        path.binding,
        path.rtt_ms.map_or_else(|| "-".to_owned(), |rtt| format!("{rtt:.1} ms")),
        path.loss.map_or_else(|| "-".to_owned(), |loss| format!("{:.1}%", loss * 100.0)),
    )
}

fn draw_streams(lab: &LiveLab<'_>, out: &mut String) -> std::fmt::Result {
    let seen = lab.seen();
    let [up, down] = Direction::ALL.map(|direction| seen.accounts[direction.index()]);
    let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1e3);
    writeln!(out, "\n    stream                      up          down")?;
    writeln!(out, "    UDP sent          {:>12}  {:>12}", up.sent_count, down.sent_count)?;
    writeln!(out, "        lost          {:>12}  {:>12}", up.lost_count, down.lost_count)?;
    writeln!(out, "        reordered     {:>12}  {:>12}", up.reordered_count, down.reordered_count)?;
    writeln!(out, "        longest gap   {:>12}  {:>12}  since the last fault", ms(up.gap), ms(down.gap))?;
    let colour = |alive| if alive { GREEN } else { RED };
    let (tcp, len) = (colour(seen.tcp == "alive"), seen.tcp_len);
    writeln!(out, "    TCP right bytes   {:>12}  {:>12}  {tcp}{}{PLAIN}", len[0], len[1], seen.tcp)?;
    match &seen.ssh {
        Some(Ok(ssh)) => {
            let word = if ssh.alive { "alive" } else { "broken" };
            writeln!(
                out,
                "    ssh lines         {:>12}  {:>12}  {}{word}{PLAIN}",
                "",
                ssh.lines,
                colour(ssh.alive)
            )
        }
        Some(Err(reason)) => writeln!(out, "    {reason}"),
        None => Ok(()),
    }
}

fn draw_help(lab: &LiveLab<'_>, out: &mut String) -> std::fmt::Result {
    write!(out, "  {BOLD}1 2{PLAIN} choose uplink ({})", lab.selected().name())?;
    for (index, (key, _, what)) in KEYS.iter().enumerate() {
        let separator = if index % 5 == 4 { "\n  " } else { "   " };
        write!(out, "{separator}{BOLD}{}{PLAIN} {what}", char::from(*key))?;
    }
    writeln!(out, "   {BOLD}q{PLAIN} quit")
}

/// Cuts a line to the width of the terminal, escape sequences not counted, and takes them out where colours are not
/// wanted.
fn fitted(line: &str, width: usize, colour: bool) -> String {
    let mut cut = String::new();
    let mut columns = 0;
    let mut in_sequence = false;
    for character in line.chars() {
        in_sequence |= character == '\x1b';
        if in_sequence {
            if colour {
                cut.push(character);
            }
            in_sequence = character != 'm';
        } else if columns < width {
            cut.push(character);
            columns += 1;
        }
    }
    cut
}

#[cfg(test)]
mod tests;
