//! Control blocks of the internet domain, routes and interfaces as the kernel keeps them.
//!
//! 2.1 counterpart: netinet/in_pcb.h, netinet/tcp_var.h, netinet/in_var.h, net/radix.h, net/route.h, net/if.h.

use super::{I16, I32, Show, Sockaddr, SockaddrIn, U16, U32, layout};

layout! {
    /// A kept route.
    Route "route" 20 {
        0 rt "ro_rt": U32 => Show::Addr,
        4 dst "ro_dst": Sockaddr,
    }

    /// A control block.
    Inpcb "inpcb" 96 {
        0 list "inp_list": [U32; 2] => Show::Pad,
        8 hash "inp_hash": [U32; 2] => Show::Pad,
        16 pcbinfo "inp_pcbinfo": U32 => Show::Addr,
        20 faddr "inp_faddr": [u8; 4] => Show::InAddr,
        24 fport "inp_fport": [u8; 2] => Show::InPort,
        26 pad0 "": [u8; 2] => Show::Pad,
        28 laddr "inp_laddr": [u8; 4] => Show::InAddr,
        32 lport "inp_lport": [u8; 2] => Show::InPort,
        34 pad1 "": [u8; 2] => Show::Pad,
        36 socket "inp_socket": U32 => Show::Addr,
        40 ppcb "inp_ppcb": U32 => Show::Addr,
        44 route "inp_route": Route,
        64 flags "inp_flags": I32 => Show::Hex,
        68 ip "inp_ip": [u8; 20] => Show::Pad,
        88 options "inp_options": U32 => Show::Addr,
        92 moptions "inp_moptions": U32 => Show::Addr,
    }

    /// TCP's part of a control block.
    Tcpcb "tcpcb" 196 {
        0 seg_next "seg_next": U32 => Show::Addr,
        4 seg_prev "seg_prev": U32 => Show::Addr,
        8 state "t_state": I32 => Show::Hex,
        12 timer "t_timer": [I32; 4],
        28 rxtshift "t_rxtshift": I32,
        32 rxtcur "t_rxtcur": I32,
        36 dupacks "t_dupacks": I32,
        40 maxseg "t_maxseg": U32,
        44 maxopd "t_maxopd": U32,
        48 force "t_force": I32,
        52 flags "t_flags": U32 => Show::Hex,
        56 template "t_template": U32 => Show::Addr,
        60 inpcb "t_inpcb": U32 => Show::Addr,
        64 snd_una "snd_una": U32,
        68 snd_nxt "snd_nxt": U32,
        72 snd_up "snd_up": U32,
        76 snd_wl1 "snd_wl1": U32,
        80 snd_wl2 "snd_wl2": U32,
        84 iss "iss": U32,
        88 snd_wnd "snd_wnd": U32,
        92 rcv_wnd "rcv_wnd": U32,
        96 rcv_nxt "rcv_nxt": U32,
        100 rcv_up "rcv_up": U32,
        104 irs "irs": U32,
        108 rcv_adv "rcv_adv": U32,
        112 snd_max "snd_max": U32,
        116 snd_cwnd "snd_cwnd": U32,
        120 snd_ssthresh "snd_ssthresh": U32,
        124 idle "t_idle": U32,
        128 rtt "t_rtt": I32,
        132 rtseq "t_rtseq": U32,
        136 srtt "t_srtt": I32,
        140 rttvar "t_rttvar": I32,
        144 rttmin "t_rttmin": U32,
        148 max_sndwnd "max_sndwnd": U32,
        152 oobflags "t_oobflags": u8,
        153 iobc "t_iobc": u8,
        154 pad0 "": [u8; 2] => Show::Pad,
        156 softerror "t_softerror": I32,
        160 snd_scale "snd_scale": u8,
        161 rcv_scale "rcv_scale": u8,
        162 request_r_scale "request_r_scale": u8,
        163 requested_s_scale "requested_s_scale": u8,
        164 ts_recent "ts_recent": U32,
        168 ts_recent_age "ts_recent_age": U32,
        172 last_ack_sent "last_ack_sent": U32,
        176 cc_send "cc_send": U32,
        180 cc_recv "cc_recv": U32,
        184 duration "t_duration": U32,
        188 tuba_pcb "t_tuba_pcb": U32 => Show::Addr,
        192 rttupdated "t_rttupdated": U32,
    }

    /// A node of a tree of addresses: a leaf, with its key, or one that tests a bit.
    RadixNode "radix_node" 24 {
        0 mklist "rn_mklist": U32 => Show::Addr,
        4 parent "rn_p": U32 => Show::Addr,
        8 bit "rn_b": I16,
        10 bmask "rn_bmask": u8 => Show::Hex,
        11 flags "rn_flags": u8 => Show::Hex,
        12 key_or_offset "rn_key": U32 => Show::Hex,
        16 mask_or_left "rn_mask": U32 => Show::Addr,
        20 duped_or_right "rn_dupedkey": U32 => Show::Addr,
    }

    /// A tree of addresses.
    RadixNodeHead "radix_node_head" 124 {
        0 treetop "rnh_treetop": U32 => Show::Addr,
        4 addrsize "rnh_addrsize": I32,
        8 pktsize "rnh_pktsize": I32,
        12 addaddr "rnh_addaddr": U32 => Show::Addr,
        16 addpkt "rnh_addpkt": U32 => Show::Addr,
        20 deladdr "rnh_deladdr": U32 => Show::Addr,
        24 delpkt "rnh_delpkt": U32 => Show::Addr,
        28 matchaddr "rnh_matchaddr": U32 => Show::Addr,
        32 lookup "rnh_lookup": U32 => Show::Addr,
        36 matchpkt "rnh_matchpkt": U32 => Show::Addr,
        40 walktree "rnh_walktree": U32 => Show::Addr,
        44 walktree_from "rnh_walktree_from": U32 => Show::Addr,
        48 close "rnh_close": U32 => Show::Addr,
        52 nodes "rnh_nodes": [RadixNode; 3] => Show::Pad,
    }

    /// A route.
    Rtentry "rtentry" 148 {
        0 nodes "rt_nodes": [RadixNode; 2] => Show::Pad,
        48 gateway "rt_gateway": U32 => Show::Addr,
        52 filler "rt_filler": I16,
        54 refcnt "rt_refcnt": I16,
        56 flags "rt_flags": U32 => Show::Hex,
        60 ifp "rt_ifp": U32 => Show::Addr,
        64 ifa "rt_ifa": U32 => Show::Addr,
        68 genmask "rt_genmask": U32 => Show::Addr,
        72 llinfo "rt_llinfo": U32 => Show::Addr,
        76 rmx "rt_rmx": [u8; 56] => Show::Pad,
        132 gwroute "rt_gwroute": U32 => Show::Addr,
        136 output "rt_output": U32 => Show::Addr,
        140 parent "rt_parent": U32 => Show::Addr,
        144 filler2 "rt_filler2": U32 => Show::Addr,
    }

    /// What routing counts.
    Rtstat "rtstat" 10 {
        0 badredirect "rts_badredirect": I16,
        2 dynamic "rts_dynamic": I16,
        4 newgateway "rts_newgateway": I16,
        6 unreach "rts_unreach": I16,
        8 wildcard "rts_wildcard": I16,
    }

    /// A queue of packets.
    Ifqueue "ifqueue" 20 {
        0 head "ifq_head": U32 => Show::Addr,
        4 tail "ifq_tail": U32 => Show::Addr,
        8 len "ifq_len": I32,
        12 maxlen "ifq_maxlen": I32,
        16 drops "ifq_drops": I32,
    }

    /// An interface.
    Ifnet "ifnet" 144 {
        0 name "if_name": U32 => Show::Addr,
        4 next "if_next": U32 => Show::Addr,
        8 addrlist "if_addrlist": U32 => Show::Addr,
        12 pcount "if_pcount": I32,
        16 bpf "if_bpf": U32 => Show::Addr,
        20 index "if_index": U16,
        22 unit "if_unit": I16,
        24 timer "if_timer": I16,
        26 flags "if_flags": I16 => Show::Hex,
        28 data "if_data": [u8; 68] => Show::Pad,
        96 init "if_init": U32 => Show::Addr,
        100 output "if_output": U32 => Show::Addr,
        104 start "if_start": U32 => Show::Addr,
        108 done "if_done": U32 => Show::Addr,
        112 ioctl "if_ioctl": U32 => Show::Addr,
        116 reset "if_reset": U32 => Show::Addr,
        120 watchdog "if_watchdog": U32 => Show::Addr,
        124 snd "if_snd": Ifqueue,
    }

    /// An address of an interface.
    Ifaddr "ifaddr" 36 {
        0 addr "ifa_addr": U32 => Show::Addr,
        4 dstaddr "ifa_dstaddr": U32 => Show::Addr,
        8 netmask "ifa_netmask": U32 => Show::Addr,
        12 ifp "ifa_ifp": U32 => Show::Addr,
        16 next "ifa_next": U32 => Show::Addr,
        20 rtrequest "ifa_rtrequest": U32 => Show::Addr,
        24 flags "ifa_flags": U16 => Show::Hex,
        26 pad0 "": [u8; 2] => Show::Pad,
        28 refcnt "ifa_refcnt": U32,
        32 metric "ifa_metric": I32,
    }

    /// An internet address of an interface.
    InIfaddr "in_ifaddr" 112 {
        0 ifa "ia_ifa": Ifaddr,
        36 net "ia_net": U32,
        40 netmask "ia_netmask": U32,
        44 subnet "ia_subnet": U32,
        48 subnetmask "ia_subnetmask": U32,
        52 netbroadcast "ia_netbroadcast": [u8; 4] => Show::InAddr,
        56 next "ia_next": U32 => Show::Addr,
        60 addr "ia_addr": SockaddrIn,
        76 dstaddr "ia_dstaddr": SockaddrIn,
        92 sockmask "ia_sockmask": SockaddrIn,
        108 multiaddrs "ia_multiaddrs": U32 => Show::Addr,
    }
}
