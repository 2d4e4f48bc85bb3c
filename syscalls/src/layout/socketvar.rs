//! Sockets, their protocols and local control blocks as the kernel keeps them.
//!
//! 2.1 counterpart: sys/socketvar.h, sys/select.h, sys/protosw.h, sys/domain.h, sys/unpcb.h, sys/mbuf.h.

use super::{I16, I32, Show, U16, U32, layout};

layout! {
    /// Who selects.
    Selinfo "selinfo" 8 {
        0 pid "si_pid": I32 => Show::Pid,
        4 flags "si_flags": I16 => Show::Hex,
        6 pad0 "": [u8; 2] => Show::Pad,
    }

    /// One direction of a socket.
    Sockbuf "sockbuf" 36 {
        0 cc "sb_cc": U32,
        4 hiwat "sb_hiwat": U32,
        8 mbcnt "sb_mbcnt": U32,
        12 mbmax "sb_mbmax": U32,
        16 lowat "sb_lowat": I32,
        20 mb "sb_mb": U32 => Show::Addr,
        24 sel "sb_sel": Selinfo,
        32 flags "sb_flags": I16 => Show::Hex,
        34 timeo "sb_timeo": I16,
    }

    /// A socket.
    Socket "socket" 132 {
        0 kind "so_type": I16,
        2 options "so_options": I16 => Show::Hex,
        4 linger "so_linger": I16,
        6 state "so_state": I16 => Show::Hex,
        8 pcb "so_pcb": U32 => Show::Addr,
        12 proto "so_proto": U32 => Show::Addr,
        16 head "so_head": U32 => Show::Addr,
        20 q0 "so_q0": U32 => Show::Addr,
        24 q "so_q": U32 => Show::Addr,
        28 q0len "so_q0len": I16,
        30 qlen "so_qlen": I16,
        32 qlimit "so_qlimit": I16,
        34 timeo "so_timeo": I16,
        36 error "so_error": U16,
        38 pad0 "": [u8; 2] => Show::Pad,
        40 pgid "so_pgid": I32 => Show::Pid,
        44 oobmark "so_oobmark": U32,
        48 rcv "so_rcv": Sockbuf,
        84 snd "so_snd": Sockbuf,
        120 tpcb "so_tpcb": U32 => Show::Addr,
        124 upcall "so_upcall": U32 => Show::Addr,
        128 upcallarg "so_upcallarg": U32 => Show::Addr,
    }

    /// A protocol.
    Protosw "protosw" 52 {
        0 kind "pr_type": I16,
        2 pad0 "": [u8; 2] => Show::Pad,
        4 domain "pr_domain": U32 => Show::Addr,
        8 protocol "pr_protocol": I16,
        10 flags "pr_flags": I16 => Show::Hex,
        12 input "pr_input": U32 => Show::Addr,
        16 output "pr_output": U32 => Show::Addr,
        20 ctlinput "pr_ctlinput": U32 => Show::Addr,
        24 ctloutput "pr_ctloutput": U32 => Show::Addr,
        28 usrreq "pr_usrreq": U32 => Show::Addr,
        32 init "pr_init": U32 => Show::Addr,
        36 fasttimo "pr_fasttimo": U32 => Show::Addr,
        40 slowtimo "pr_slowtimo": U32 => Show::Addr,
        44 drain "pr_drain": U32 => Show::Addr,
        48 sysctl "pr_sysctl": U32 => Show::Addr,
    }

    /// A family of protocols.
    Domain "domain" 44 {
        0 family "dom_family": I32,
        4 name "dom_name": U32 => Show::Addr,
        8 init "dom_init": U32 => Show::Addr,
        12 externalize "dom_externalize": U32 => Show::Addr,
        16 dispose "dom_dispose": U32 => Show::Addr,
        20 protosw "dom_protosw": U32 => Show::Addr,
        24 protosw_end "dom_protoswNPROTOSW": U32 => Show::Addr,
        28 next "dom_next": U32 => Show::Addr,
        32 rtattach "dom_rtattach": U32 => Show::Addr,
        36 rtoffset "dom_rtoffset": I32,
        40 maxrtkey "dom_maxrtkey": I32,
    }

    /// A control block of the local domain.
    Unpcb "unpcb" 36 {
        0 socket "unp_socket": U32 => Show::Addr,
        4 vnode "unp_vnode": U32 => Show::Addr,
        8 ino "unp_ino": U32,
        12 conn "unp_conn": U32 => Show::Addr,
        16 refs "unp_refs": U32 => Show::Addr,
        20 nextref "unp_nextref": U32 => Show::Addr,
        24 addr "unp_addr": U32 => Show::Addr,
        28 cc "unp_cc": I32,
        32 mbcnt "unp_mbcnt": I32,
    }

    /// The head of an mbuf, which its data follow.
    MHdr "m_hdr" 20 {
        0 next "mh_next": U32 => Show::Addr,
        4 nextpkt "mh_nextpkt": U32 => Show::Addr,
        8 len "mh_len": I32,
        12 data "mh_data": U32 => Show::Addr,
        16 kind "mh_type": I16,
        18 flags "mh_flags": I16,
    }

    /// What the network counts of its memory.
    Mbstat "mbstat" 540 {
        0 mbufs "m_mbufs": U32,
        4 clusters "m_clusters": U32,
        8 spare "m_spare": U32,
        12 clfree "m_clfree": U32,
        16 drops "m_drops": U32,
        20 wait "m_wait": U32,
        24 drain "m_drain": U32,
        28 mtypes "m_mtypes": [U16; 256] => Show::Pad,
    }
}
