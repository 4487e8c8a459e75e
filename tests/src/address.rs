//! Loopback addresses that no other test uses.
//!
//! Linux answers on all of 127.0.0.0/8, so every pod and every Envoy gets an address of its own and keeps the usual
//! port. An address is claimed by a UDP socket that stays open as long as the process, so that tests of other processes
//! pass it over.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Addresses are taken from blocks of 4096, one block for each process.
const BLOCK_BITS: u32 = 12;
/// The port whose socket marks an address as taken.
const CLAIM_PORT: u16 = 40404;

static NEXT: AtomicU32 = AtomicU32::new(1);
static CLAIMS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A loopback address that this process has not used yet and no other process of this harness is using.
pub fn fresh() -> Ipv4Addr {
    // Block 0 holds 127.0.0.1, which belongs to the rest of the machine.
    let block = 1 + std::process::id() % ((1 << (24 - BLOCK_BITS)) - 1);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        // Runs over into the next process's block when this one is used up; the claim keeps them apart.
        let host = ((block << BLOCK_BITS) + offset) & 0x00ff_ffff;
        let address = Ipv4Addr::from_bits(0x7f00_0000 | host);
        if let Ok(claim) = UdpSocket::bind((address, CLAIM_PORT)) {
            CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
            return address;
        }
        assert!(
            offset < 1 << BLOCK_BITS,
            "no free address in 127.0.0.0/8: does this machine answer on all of it, as Linux does?"
        );
    }
}
