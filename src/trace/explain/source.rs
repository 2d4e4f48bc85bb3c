//! Where the original does what a step is named after.
//!
//! Must not know events.

use syscalls::flags::{Domain, SockType};

use crate::kernel::socket::protosw::Protosw;

/// Functions by the file of 2.1 that has them.
const FILES: [(&str, &[&str]); 22] = [
    (
        "kern/uipc_syscalls.c",
        &[
            "socket",
            "bind",
            "listen",
            "accept",
            "connect",
            "socketpair",
            "sendto",
            "sendmsg",
            "recvfrom",
            "recvmsg",
            "setsockopt",
            "getsockopt",
            "shutdown",
            "pipe",
            "getsock",
            "getsockname",
            "getpeername",
        ],
    ),
    ("kern/sys_generic.c", &["read", "readv", "write", "writev", "ioctl", "select"]),
    ("kern/kern_descrip.c", &["close", "fstat", "fcntl", "ffree", "falloc", "closef"]),
    (
        "kern/uipc_socket.c",
        &[
            "socreate",
            "sobind",
            "solisten",
            "sofree",
            "soclose",
            "soabort",
            "soaccept",
            "soconnect",
            "soconnect2",
            "sodisconnect",
            "sosend",
            "soreceive",
            "soshutdown",
            "sorflush",
            "sosetopt",
            "sogetopt",
        ],
    ),
    (
        "kern/uipc_socket2.c",
        &[
            "soisconnecting",
            "soisconnected",
            "soisdisconnecting",
            "soisdisconnected",
            "sonewconn",
            "socantsendmore",
            "socantrcvmore",
            "sorwakeup",
            "sowwakeup",
            "soreserve",
            "sbappend",
            "soqinsque",
            "soqremque",
            "sbappendaddr",
            "sbappendcontrol",
        ],
    ),
    ("kern/uipc_domain.c", &["pffindtype", "pffindproto"]),
    (
        "kern/uipc_usrreq.c",
        &[
            "unp_attach",
            "unp_detach",
            "unp_bind",
            "unp_connect",
            "unp_connect2",
            "unp_disconnect",
            "unp_shutdown",
            "unp_drop",
            "unp_externalize",
            "unp_internalize",
            "unp_gc",
            "unp_dispose",
        ],
    ),
    ("kern/sys_socket.c", &["soo_read", "soo_write", "soo_ioctl", "soo_select", "soo_stat", "soo_close"]),
    ("kern/kern_synch.c", &["tsleep"]),
    ("kern/vfs_lookup.c", &["namei"]),
    ("netinet/in_pcb.c", &["in_pcballoc", "in_pcbbind", "in_pcbconnect", "in_pcbdisconnect", "in_pcbdetach"]),
    ("netinet/tcp_usrreq.c", &["tcp_attach", "tcp_connect", "tcp_usrclosed", "tcp_ctloutput"]),
    ("netinet/tcp_output.c", &["tcp_output"]),
    ("netinet/tcp_subr.c", &["tcp_drop", "tcp_close", "tcp_respond"]),
    ("netinet/tcp_input.c", &["tcp_input"]),
    ("netinet/udp_usrreq.c", &["udp_output", "udp_input"]),
    ("netinet/raw_ip.c", &["rip_output", "rip_input"]),
    ("netinet/ip_output.c", &["ip_output"]),
    ("netinet/ip_input.c", &["ipintr"]),
    ("netinet/ip_icmp.c", &["icmp_input", "icmp_error"]),
    ("net/if_loop.c", &["looutput"]),
    ("net/rtsock.c", &["route_output"]),
];

/// The file that has a function, or serves a request (`PRU_*`) of a protocol; empty where there is none.
pub(super) fn file(function: &str, proto: Option<&Protosw>) -> &'static str {
    if function.starts_with("PRU_") {
        return match proto.map(|pr| (pr.family, pr.kind)) {
            Some((Domain::Unix, _)) => "kern/uipc_usrreq.c",
            Some((_, Some(SockType::Stream))) => "netinet/tcp_usrreq.c",
            Some((_, Some(SockType::Dgram))) => "netinet/udp_usrreq.c",
            Some(_) => "netinet/raw_ip.c",
            None => "",
        };
    }
    match function {
        "copyin" | "copyout" => return "i386/i386/support.s",
        "psignal" => return "kern/kern_sig.c",
        _ => {}
    }
    FILES.iter().find(|(_, functions)| functions.contains(&function)).map_or("", |(file, _)| *file)
}
