//! A walk as an indented tree for people, or as JSON for programs.
//!
//! Must not know events.

use std::fmt::Write;

use super::Line;
use super::view::{Buffer, There, View};
use crate::trace::json::{Object, array, string};

/// Column of the files of 2.1.
const COLUMN: usize = 88;

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
                put(&mut out, 0, &format!("{text}    call {number}"), file);
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
                sockets.iter().for_each(|view| put(&mut out, *depth, &format!("| {}", socket(view)), ""));
            }
            Line::Result { text } => put(&mut out, 0, &format!("-> {text}"), ""),
        }
        over = matches!(line, Line::Result { .. });
    }
    out
}

fn put(out: &mut String, depth: usize, text: &str, file: &str) {
    let line = format!("{:indent$}{text}", "", indent = 4 * depth);
    let _ = match file {
        "" => writeln!(out, "{line}"),
        file => writeln!(out, "{line:<COLUMN$}  {file}"),
    };
}

fn socket(view: &View) -> String {
    let Some(there) = &view.there else { return format!("{} is gone", view.name) };
    let mut out = format!("{} {}", view.name, there.state.join("|"));
    if there.state.is_empty() {
        out.push('-');
    }
    let _ = write!(out, "  snd {}  rcv {}", buffer(&there.snd), buffer(&there.rcv));
    if let Some(error) = there.error {
        let _ = write!(out, "  error {error}");
    }
    if !there.links.is_empty() {
        let _ = write!(out, "  {}", there.links.join(", "));
    }
    out
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
            array(o.key("sockets"), sockets, view);
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
