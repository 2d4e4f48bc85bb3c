//! What a socket is like at one moment, in the words of `struct socket`.
//!
//! Must not know what was done to it.

use crate::kernel::Kernel;
use crate::kernel::socket::sockbuf::Sockbuf;
use crate::kernel::socket::{Socket, SocketId};

/// A socket at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What walks call it.
    pub name: String,
    /// None where it is gone.
    pub there: Option<There>,
}

/// A socket that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it was when it was shown last; none where it was not.
    pub before: Option<View>,
    /// What it is.
    pub now: View,
}

/// A socket that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct There {
    /// Its state and options, as `SS_` and `SO_` words.
    pub state: Vec<String>,
    /// Its send buffer.
    pub snd: Buffer,
    /// Its receive buffer.
    pub rcv: Buffer,
    /// Its error.
    pub error: Option<&'static str>,
    /// What it refers to: peers, names, queues.
    pub links: Vec<String>,
}

/// A buffer of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Bytes in it, and how many it takes.
    pub cc: (u32, u32),
    /// What its mbufs cost, and how much they may.
    pub mbcnt: (u32, u32),
    /// Low-water mark.
    pub lowat: i32,
}

impl From<&Sockbuf> for Buffer {
    fn from(sb: &Sockbuf) -> Self {
        Self { cc: (sb.cc, sb.hiwat), mbcnt: (sb.mbcnt, sb.mbmax), lowat: sb.lowat }
    }
}

/// The name that traces have for a socket.
pub(super) fn name(so: SocketId) -> String {
    format!("so{so:?}")
}

impl View {
    pub(super) fn new(kernel: &Kernel, so: SocketId) -> Self {
        let there = kernel.sockets.get(so).map(|socket| There {
            state: words(socket),
            snd: Buffer::from(&socket.snd),
            rcv: Buffer::from(&socket.rcv),
            error: socket.error.map(|errno| errno.name()),
            links: links(kernel, socket),
        });
        Self { name: name(so), there }
    }
}

fn words(socket: &Socket) -> Vec<String> {
    let state = socket.state.iter_names().map(|(word, _)| format!("SS_{word}"));
    let options = socket.options.iter_names().map(|(word, _)| format!("SO_{word}"));
    state.chain(options).collect()
}

fn links(kernel: &Kernel, socket: &Socket) -> Vec<String> {
    let mut links = Vec::new();
    if let Some(unp) = socket.unpcb() {
        if let Some(addr) = &unp.addr {
            let path = addr.bytes().get(2..).unwrap_or_default();
            links.push(format!("name {}", String::from_utf8_lossy(path).trim_end_matches('\0')));
        }
        links.extend(unp.conn.map(|peer| format!("unp_conn {}", name(peer))));
        links.extend(unp.refs.iter().map(|peer| format!("unp_refs {}", name(*peer))));
    } else if let Some(inp) = socket.inpcb().and_then(|inp| kernel.inet.get(inp)) {
        links.push(format!("{}:{}", inp.laddr, inp.lport));
        if inp.fport != 0 {
            links.push(format!("peer {}:{}", inp.faddr, inp.fport));
        }
        if let Some(tp) = &inp.tcp {
            links.push(tp.state.name().to_owned());
            let sent = |number: u32| number.wrapping_sub(tp.iss);
            if tp.snd_max != tp.iss {
                links.push(format!(
                    "snd_una {} nxt {} wnd {} cwnd {}",
                    sent(tp.snd_una),
                    sent(tp.snd_nxt),
                    tp.snd_wnd,
                    tp.snd_cwnd
                ));
            }
            if tp.rcv_nxt != 0 {
                let came = |number: u32| number.wrapping_sub(tp.irs);
                links.push(format!("rcv_nxt {} adv {}", came(tp.rcv_nxt), came(tp.rcv_adv)));
            }
        }
    } else {
        links.push("no pcb".to_owned());
    }
    links.extend(socket.head.map(|head| format!("so_head {}", name(head))));
    if !socket.q0.is_empty() || !socket.q.is_empty() || socket.qlimit != 0 {
        links.push(format!("q0 {} q {} of {}", socket.q0.len(), socket.q.len(), socket.qlimit));
    }
    links
}

/// The sockets that a socket refers to.
pub(super) fn related(kernel: &Kernel, so: SocketId) -> Vec<SocketId> {
    let Some(socket) = kernel.sockets.get(so) else { return Vec::new() };
    let unp = socket.unpcb().into_iter().flat_map(|unp| unp.conn.into_iter().chain(unp.refs.iter().copied()));
    unp.chain(socket.head).chain(socket.q0.iter().chain(&socket.q).copied()).collect()
}
