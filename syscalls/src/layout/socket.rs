//! Socket addresses, message headers, values of socket options.
//!
//! 2.1 counterpart: sys/socket.h, sys/un.h, netinet/in.h.

use super::{I32, Show, U16, U32, layout};
use crate::flags::{Domain, MsgFlags, ScmType, SockLevel};

layout! {
    /// The head that all socket addresses share.
    SockaddrHeader "sockaddr" 2 {
        0 len "sa_len": u8,
        1 family "sa_family": u8 => Show::Named(&Domain::NAMES),
    }

    /// An address of any family that fits.
    Sockaddr "sockaddr" 16 {
        0 len "sa_len": u8,
        1 family "sa_family": u8 => Show::Named(&Domain::NAMES),
        2 data "sa_data": [u8; 14] => Show::Bytes,
    }

    /// An address in the file system.
    SockaddrUn "sockaddr_un" 106 {
        0 len "sun_len": u8,
        1 family "sun_family": u8 => Show::Named(&Domain::NAMES),
        2 path "sun_path": [u8; 104] => Show::Chars,
    }

    /// An internet address and port, in network order.
    SockaddrIn "sockaddr_in" 16 {
        0 len "sin_len": u8,
        1 family "sin_family": u8 => Show::Named(&Domain::NAMES),
        2 port "sin_port": [u8; 2] => Show::InPort,
        4 addr "sin_addr": [u8; 4] => Show::InAddr,
        8 zero "sin_zero": [u8; 8] => Show::Pad,
    }

    /// A message: address, scattered data, control.
    Msghdr "msghdr" 28 {
        0 name "msg_name": U32 => Show::Addr,
        4 namelen "msg_namelen": U32,
        8 iov "msg_iov": U32 => Show::Addr,
        12 iovlen "msg_iovlen": U32,
        16 control "msg_control": U32 => Show::Addr,
        20 controllen "msg_controllen": U32,
        24 flags "msg_flags": U32 => Show::Flags(&MsgFlags::NAMES),
    }

    /// A message in its old form: access rights instead of control.
    Omsghdr "omsghdr" 24 {
        0 name "msg_name": U32 => Show::Addr,
        4 namelen "msg_namelen": I32,
        8 iov "msg_iov": U32 => Show::Addr,
        12 iovlen "msg_iovlen": I32,
        16 accrights "msg_accrights": U32 => Show::Addr,
        20 accrightslen "msg_accrightslen": I32,
    }

    /// The head of a control message; its data follows.
    Cmsghdr "cmsghdr" 12 {
        0 len "cmsg_len": U32,
        4 level "cmsg_level": U32 => Show::Named(&SockLevel::NAMES),
        8 kind "cmsg_type": U32 => Show::Named(&ScmType::NAMES),
    }

    /// Value of SO_LINGER.
    Linger "linger" 8 {
        0 onoff "l_onoff": I32,
        4 linger "l_linger": I32,
    }

    /// Value of IP_ADD_MEMBERSHIP.
    IpMreq "ip_mreq" 8 {
        0 multiaddr "imr_multiaddr": [u8; 4] => Show::InAddr,
        4 interface "imr_interface": [u8; 4] => Show::InAddr,
    }

    /// A request about a network interface; what `data` means depends on the request.
    Ifreq "ifreq" 32 {
        0 name "ifr_name": [u8; 16] => Show::Chars,
        16 data "ifr_data": [u8; 16] => Show::Bytes,
    }

    /// A request for the list of network interfaces.
    Ifconf "ifconf" 8 {
        0 len "ifc_len": I32,
        4 buf "ifc_buf": U32 => Show::Addr,
    }

    /// The old form of an address: the family takes both bytes of the head.
    Osockaddr "osockaddr" 16 {
        0 family "sa_family": U16 => Show::Named(&Domain::NAMES),
        2 data "sa_data": [u8; 14] => Show::Bytes,
    }
}
