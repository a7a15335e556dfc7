//! The page.

use crate::client::send;
use crate::server::SHARED;

#[test]
fn browsers_get_the_page_and_all_that_it_names() {
    let accept = [("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    let page = send(SHARED.address, "GET", "/", &accept, b"");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let named: Vec<&str> = page.body.split('"').filter(|text| text.starts_with("page/")).collect();
    assert!(named.len() > 4, "{named:?}");
    for name in named {
        let file = SHARED.get(&format!("/{name}"));
        assert_eq!(file.status, 200, "{name}");
        let kind = file.header("content-type").expect("a type");
        let wanted = match name.rsplit_once('.').expect("an ending").1 {
            "js" => "text/javascript",
            "css" => "text/css",
            _ => "image/svg+xml",
        };
        assert!(kind.starts_with(wanted), "{name}: {kind}");
    }
}

#[test]
fn others_learn_that_the_server_lives() {
    assert_eq!(SHARED.get("/").body, "Ollama is running");
    assert_eq!(send(SHARED.address, "HEAD", "/", &[], b"").status, 200);
}

#[test]
fn there_is_nothing_beside_the_page() {
    for path in ["/page/none.js", "/page/../Cargo.toml", "/page/..%2fCargo.toml", "/page/"] {
        assert_eq!(SHARED.get(path).status, 404, "{path}");
    }
}
