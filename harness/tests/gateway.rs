//! The gateway with real clients in front and a real server behind.

mod gateway_doors;
mod gateway_faults_below;
mod gateway_faults_http;
mod gateway_faults_kubernetes;
mod gateway_faults_words;
mod gateway_handshakes;
mod gateway_rig;
mod gateway_watches;
