//! 386BSD's own form of sockets, control blocks, routes and interfaces.
//!
//! Counterpart: socketvar.h, protosw.h, domain.h, in_pcb.h, tcp_var.h, in_var.h, radix.h, route.h, if.h of 386BSD 2.0.

use super::{I16, I32, Ifqueue, RadixNode, Route, Show, SockaddrIn, Timeval, U16, U32, layout};

layout! {
    /// One direction of a socket.
    OlderSockbuf "sockbuf" 32 {
        0 cc "sb_cc": U32,
        4 hiwat "sb_hiwat": U32,
        8 mbcnt "sb_mbcnt": U32,
        12 mbmax "sb_mbmax": U32,
        16 lowat "sb_lowat": I32,
        20 mb "sb_mb": U32 => Show::Addr,
        24 sel "sb_sel": I16,
        26 flags "sb_flags": I16 => Show::Hex,
        28 timeo "sb_timeo": I16,
        30 pad0 "": [u8; 2] => Show::Pad,
    }

    /// A socket.
    OlderSocket "socket" 112 {
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
        38 pgid "so_pgid": I16 => Show::Pid,
        40 oobmark "so_oobmark": U32,
        44 rcv "so_rcv": OlderSockbuf,
        76 snd "so_snd": OlderSockbuf,
        108 tpcb "so_tpcb": U32 => Show::Addr,
    }

    /// A protocol.
    OlderProtosw "protosw" 48 {
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
    }

    /// A family of protocols.
    OlderDomain "domain" 32 {
        0 family "dom_family": I32,
        4 name "dom_name": U32 => Show::Addr,
        8 init "dom_init": U32 => Show::Addr,
        12 externalize "dom_externalize": U32 => Show::Addr,
        16 dispose "dom_dispose": U32 => Show::Addr,
        20 protosw "dom_protosw": U32 => Show::Addr,
        24 protosw_end "dom_protoswNPROTOSW": U32 => Show::Addr,
        28 next "dom_next": U32 => Show::Addr,
    }

    /// A control block.
    OlderInpcb "inpcb" 84 {
        0 next "inp_next": U32 => Show::Addr,
        4 prev "inp_prev": U32 => Show::Addr,
        8 head "inp_head": U32 => Show::Addr,
        12 faddr "inp_faddr": [u8; 4] => Show::InAddr,
        16 fport "inp_fport": [u8; 2] => Show::InPort,
        18 pad0 "": [u8; 2] => Show::Pad,
        20 laddr "inp_laddr": [u8; 4] => Show::InAddr,
        24 lport "inp_lport": [u8; 2] => Show::InPort,
        26 pad1 "": [u8; 2] => Show::Pad,
        28 socket "inp_socket": U32 => Show::Addr,
        32 ppcb "inp_ppcb": U32 => Show::Addr,
        36 route "inp_route": Route,
        56 flags "inp_flags": I32 => Show::Hex,
        60 ip "inp_ip": [u8; 20] => Show::Pad,
        80 options "inp_options": U32 => Show::Addr,
    }

    /// TCP's part of a control block.
    OlderTcpcb "tcpcb" 108 {
        0 seg_next "seg_next": U32 => Show::Addr,
        4 seg_prev "seg_prev": U32 => Show::Addr,
        8 state "t_state": I16 => Show::Hex,
        10 timer "t_timer": [I16; 4],
        18 rxtshift "t_rxtshift": I16,
        20 rxtcur "t_rxtcur": I16,
        22 dupacks "t_dupacks": I16,
        24 maxseg "t_maxseg": U16,
        26 force "t_force": u8,
        27 flags "t_flags": u8,
        28 template "t_template": U32 => Show::Addr,
        32 inpcb "t_inpcb": U32 => Show::Addr,
        36 snd_una "snd_una": U32,
        40 snd_nxt "snd_nxt": U32,
        44 snd_up "snd_up": U32,
        48 snd_wl1 "snd_wl1": U32,
        52 snd_wl2 "snd_wl2": U32,
        56 iss "iss": U32,
        60 snd_wnd "snd_wnd": U16,
        62 rcv_wnd "rcv_wnd": U16,
        64 rcv_nxt "rcv_nxt": U32,
        68 rcv_up "rcv_up": U32,
        72 irs "irs": U32,
        76 rcv_adv "rcv_adv": U32,
        80 snd_max "snd_max": U32,
        84 snd_cwnd "snd_cwnd": U16,
        86 snd_ssthresh "snd_ssthresh": U16,
        88 idle "t_idle": I16,
        90 rtt "t_rtt": I16,
        92 rtseq "t_rtseq": U32,
        96 srtt "t_srtt": I16,
        98 rttvar "t_rttvar": I16,
        100 rttmin "t_rttmin": U16,
        102 max_sndwnd "max_sndwnd": U16,
        104 oobflags "t_oobflags": u8,
        105 iobc "t_iobc": u8,
        106 softerror "t_softerror": I16,
    }

    /// A tree of addresses.
    OlderRadixNodeHead "radix_node_head" 84 {
        0 next "rnh_next": U32 => Show::Addr,
        4 treetop "rnh_treetop": U32 => Show::Addr,
        8 af "rnh_af": I32,
        12 nodes "rnh_nodes": [RadixNode; 3] => Show::Pad,
    }

    /// A route.
    OlderRtentry "rtentry" 116 {
        0 nodes "rt_nodes": [RadixNode; 2] => Show::Pad,
        48 gateway "rt_gateway": U32 => Show::Addr,
        52 flags "rt_flags": I16 => Show::Hex,
        54 refcnt "rt_refcnt": I16,
        56 uses "rt_use": U32,
        60 ifp "rt_ifp": U32 => Show::Addr,
        64 ifa "rt_ifa": U32 => Show::Addr,
        68 genmask "rt_genmask": U32 => Show::Addr,
        72 llinfo "rt_llinfo": U32 => Show::Addr,
        76 rmx "rt_rmx": [u8; 36] => Show::Pad,
        112 idle "rt_idle": I16,
        114 pad0 "": [u8; 2] => Show::Pad,
    }

    /// An interface.
    OlderIfnet "ifnet" 136 {
        0 name "if_name": U32 => Show::Addr,
        4 unit "if_unit": I16,
        6 mtu "if_mtu": U16,
        8 flags "if_flags": I16 => Show::Hex,
        10 timer "if_timer": U16,
        12 metric "if_metric": I32,
        16 addrlist "if_addrlist": U32 => Show::Addr,
        20 snd "if_snd": Ifqueue,
        40 init "if_init": U32 => Show::Addr,
        44 output "if_output": U32 => Show::Addr,
        48 start "if_start": U32 => Show::Addr,
        52 done "if_done": U32 => Show::Addr,
        56 ioctl "if_ioctl": U32 => Show::Addr,
        60 reset "if_reset": U32 => Show::Addr,
        64 watchdog "if_watchdog": U32 => Show::Addr,
        68 ipackets "if_ipackets": I32,
        72 ierrors "if_ierrors": I32,
        76 opackets "if_opackets": I32,
        80 oerrors "if_oerrors": I32,
        84 collisions "if_collisions": I32,
        88 next "if_next": U32 => Show::Addr,
        92 kind "if_type": u8,
        93 addrlen "if_addrlen": u8,
        94 hdrlen "if_hdrlen": u8,
        95 index "if_index": u8,
        96 lastchange "if_lastchange": Timeval,
        104 ibytes "if_ibytes": I32,
        108 obytes "if_obytes": I32,
        112 imcasts "if_imcasts": I32,
        116 omcasts "if_omcasts": I32,
        120 iqdrops "if_iqdrops": I32,
        124 noproto "if_noproto": I32,
        128 baudrate "if_baudrate": I32,
        132 pcount "if_pcount": I32,
    }

    /// An address of an interface.
    OlderIfaddr "ifaddr" 32 {
        0 addr "ifa_addr": U32 => Show::Addr,
        4 dstaddr "ifa_dstaddr": U32 => Show::Addr,
        8 netmask "ifa_netmask": U32 => Show::Addr,
        12 ifp "ifa_ifp": U32 => Show::Addr,
        16 next "ifa_next": U32 => Show::Addr,
        20 rtrequest "ifa_rtrequest": U32 => Show::Addr,
        24 rt "ifa_rt": U32 => Show::Addr,
        28 flags "ifa_flags": U16 => Show::Hex,
        30 llinfolen "ifa_llinfolen": U16,
    }

    /// An internet address of an interface.
    OlderInIfaddr "in_ifaddr" 104 {
        0 ifa "ia_ifa": OlderIfaddr,
        32 net "ia_net": U32,
        36 netmask "ia_netmask": U32,
        40 subnet "ia_subnet": U32,
        44 subnetmask "ia_subnetmask": U32,
        48 netbroadcast "ia_netbroadcast": [u8; 4] => Show::InAddr,
        52 next "ia_next": U32 => Show::Addr,
        56 addr "ia_addr": SockaddrIn,
        72 dstaddr "ia_dstaddr": SockaddrIn,
        88 sockmask "ia_sockmask": SockaddrIn,
    }
}
