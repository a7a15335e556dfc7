//! A hub with one model of noise, for programs of others: prints its endpoint, and then, for each
//! line that it reads, how many bytes of files it has sent, until there is no line.

use baimo_tests_hub::Hub;
use std::io::BufRead;

fn main() {
    let hub = Hub::start();
    let repo = "owner/model-1.5";
    hub.put_model(repo, 40 << 20);
    hub.put(repo, "sub/README.md", "words");
    println!("{}", hub.endpoint());
    for _line in std::io::stdin().lock().lines() {
        println!("{}", hub.sent());
    }
}
