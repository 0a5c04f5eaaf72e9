//! The double of Supabase Storage, held to the recordings of the real server.

mod client;
mod compare;
mod recording;
mod replay;
mod seeds;
