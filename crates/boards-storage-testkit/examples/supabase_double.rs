//! Starts the double of Supabase Storage, prints where it is as one line of JSON, and ends with its standard input.
//!
//! `cargo run --package boards-storage-testkit --features supabase --example supabase_double`

use std::io::Read;

use boards_storage_testkit::{SupabaseDouble, SupabaseOptions};

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut options = SupabaseOptions::default();
    options.size_bytes_max = 1 << 40;
    let double = runtime.block_on(SupabaseDouble::start(options))?;
    let place = serde_json::json!({
        "address": double.address().to_string(),
        "url": double.url(),
        "key": double.service_key(),
    });
    #[expect(clippy::print_stdout, reason = "it is what the program is for")]
    {
        println!("{place}");
    }
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).map(drop)
}
