//! A walk as an indented tree for people, or as JSON for programs.
//!
//! Must not know events.

use std::fmt::Write;

use super::Line;
use super::view::{Buffer, Change, There, View};
use crate::trace::json::{Object, array, string};

/// Column of the files of 2.1, and where lines end.
const COLUMN: usize = 76;
const WIDTH: usize = 100;
/// Columns by which a step is further right than what it is part of.
const INDENT: usize = 2;

/// The walk as text: steps below what they are parts of, sockets behind a bar.
pub fn text(lines: &[Line]) -> String {
    let mut out = String::new();
    let mut over = false;
    for line in lines {
        match line {
            Line::Other { depth, pid, text } => {
                if over {
                    out.push('\n');
                }
                let process = pid.map_or(String::new(), |pid| format!("process {pid}: "));
                put(&mut out, *depth, &format!("{process}{text}"), "");
            }
            Line::Call { number, text, file } => {
                if !out.is_empty() {
                    out.push('\n');
                }
                let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
                words.push(format!("   call {number}"));
                wrap(&mut out, 0, "", &words, file);
            }
            Line::Step { depth, name, socket, detail, file } => {
                let socket = socket.as_ref().map_or(String::new(), |so| format!(" {so}"));
                // An argument list follows its function's name.
                let joined = detail.is_empty() || (detail.starts_with('(') && socket.is_empty());
                let space = if joined { "" } else { " " };
                put(&mut out, *depth, &format!("{name}{socket}{space}{detail}"), file);
            }
            Line::Error { depth, errno } => put(&mut out, *depth, &format!("fails: {errno}"), ""),
            Line::State { depth, sockets } => {
                sockets.iter().for_each(|changed| wrap(&mut out, INDENT * depth, "| ", &change(changed), ""));
            }
            Line::Result { text } => put(&mut out, 0, &format!("-> {text}"), ""),
        }
        over = matches!(line, Line::Result { .. });
    }
    out
}

fn put(out: &mut String, depth: usize, text: &str, file: &str) {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    wrap(out, INDENT * depth, "", &words, file);
}

/// Writes words in lines that end before [`WIDTH`]; those after the first are further right.  The file is behind the
/// last one, or below it where there is no room.
fn wrap(out: &mut String, indent: usize, bar: &str, words: &[String], file: &str) {
    // What is very deep is not indented further, so that something fits.
    let indent = indent.min(WIDTH / 2);
    let begin = |further: usize| format!("{:width$}{bar}", "", width = indent + further);
    let mut line = begin(0);
    let mut empty = true;
    for word in words {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = begin(2 * INDENT);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let length = line.chars().count();
    let _ = match file {
        "" => writeln!(out, "{}", line.trim_end()),
        file if length <= COLUMN => writeln!(out, "{line:<COLUMN$}  {file}"),
        file if length + 2 + file.len() <= WIDTH => writeln!(out, "{line}  {file}"),
        file => writeln!(out, "{line}\n{:COLUMN$}  {file}", ""),
    };
}

/// What there is to say of a socket: everything the first time, then what is not as it was.
fn change(change: &Change) -> Vec<String> {
    let mut words = vec![change.now.name.clone()];
    let Some(now) = &change.now.there else {
        words.push("is gone".to_owned());
        return words;
    };
    let before = change.before.as_ref().and_then(|view| view.there.as_ref());
    if before.is_none_or(|before| before.state != now.state) {
        words.push(if now.state.is_empty() { "-".to_owned() } else { now.state.join("|") });
    }
    for (name, was, is) in
        [("snd", before.map(|b| &b.snd), &now.snd), ("rcv", before.map(|b| &b.rcv), &now.rcv)]
    {
        if was != Some(is) {
            words.push(format!(" {name} {}", buffer(is)));
        }
    }
    match now.error {
        Some(error) if before.is_none_or(|before| before.error != Some(error)) => {
            words.push(format!(" error {error}"));
        }
        None if before.is_some_and(|before| before.error.is_some()) => words.push(" no error".to_owned()),
        _ => {}
    }
    let new = now.links.iter().filter(|link| before.is_none_or(|before| !before.links.contains(link)));
    let new: Vec<&str> = new.map(String::as_str).collect();
    let count = new.len();
    words.extend(new.iter().enumerate().map(|(at, link)| {
        let (space, comma) = (if at == 0 { " " } else { "" }, if at + 1 < count { "," } else { "" });
        format!("{space}{link}{comma}")
    }));
    // What a link is about is its first word; the rest may have changed.
    let about = |link: &str| link.split(' ').next().unwrap_or_default().to_owned();
    let kept: Vec<String> = now.links.iter().map(|link| about(link)).collect();
    let gone =
        before.into_iter().flat_map(|before| &before.links).filter(|link| !kept.contains(&about(link)));
    words.extend(
        gone.filter(|link| link.contains(' ') && !link.starts_with("no "))
            .map(|link| format!(" no {}", about(link))),
    );
    words
}

/// `cc/hiwat mb mbcnt/mbmax low lowat`
fn buffer(buffer: &Buffer) -> String {
    let Buffer { cc, mbcnt, lowat } = buffer;
    format!("{}/{} mb {}/{} low {lowat}", cc.0, cc.1, mbcnt.0, mbcnt.1)
}

/// The walk as one array of objects.
pub fn json(lines: &[Line]) -> String {
    let mut out = String::new();
    array(&mut out, lines, |out, line| {
        out.push('\n');
        object(out, line);
    });
    out.push('\n');
    out
}

fn object(out: &mut String, line: &Line) {
    let mut o = Object::new(out);
    match line {
        Line::Other { depth, pid, text } => {
            o.text("kind", "other").number("depth", depth).text("text", text);
            if let Some(pid) = pid {
                o.number("pid", pid);
            }
        }
        Line::Call { number, text, file } => {
            o.text("kind", "call").number("number", number).text("text", text).text("file", file);
        }
        Line::Step { depth, name, socket, detail, file } => {
            o.text("kind", "step").number("depth", depth).text("name", name);
            if let Some(socket) = socket {
                o.text("socket", socket);
            }
            o.text("detail", detail).text("file", file);
        }
        Line::Error { depth, errno } => {
            o.text("kind", "error").number("depth", depth).text("errno", errno);
        }
        Line::State { depth, sockets } => {
            o.text("kind", "state").number("depth", depth);
            array(o.key("sockets"), sockets, |out, changed: &Change| view(out, &changed.now));
        }
        Line::Result { text } => {
            o.text("kind", "result").text("text", text);
        }
    }
    o.end();
}

fn view(out: &mut String, view: &View) {
    let mut o = Object::new(out);
    o.text("name", &view.name);
    let words = |out: &mut String, words: &[String]| {
        array(out, words, |out, word: &String| string(out, word.as_bytes()));
    };
    if let Some(There { state, snd, rcv, error, links }) = &view.there {
        words(o.key("state"), state);
        buffer_object(o.key("snd"), snd);
        buffer_object(o.key("rcv"), rcv);
        if let Some(error) = error {
            o.text("error", error);
        }
        words(o.key("links"), links);
    }
    o.end();
}

fn buffer_object(out: &mut String, buffer: &Buffer) {
    let mut o = Object::new(out);
    o.number("cc", buffer.cc.0).number("hiwat", buffer.cc.1);
    o.number("mbcnt", buffer.mbcnt.0).number("mbmax", buffer.mbcnt.1).number("lowat", buffer.lowat);
    o.end();
}
