local target = require "userpods.target"

local tests = {}

local function configured(allow_loopback)
    target.configure { allow_loopback = allow_loopback or false }
end

function tests.a_name_that_a_service_may_have_is_taken()
    configured()
    for _, name in ipairs {
        "user-a", "user-alice", "user-a-b", "user-0", "lab-a", "a", "user-" .. ("a"):rep(58),
    } do
        assert(target.is_service(name), name)
    end
end

function tests.a_name_that_no_service_has_is_refused()
    configured()
    for _, name in ipairs {
        "user-", "user-a-", "-a", "0-a", "127.0.0.1", "user-A", "user-a.b", "user-a/b", "user-a:80",
        "user-a\n", "\nuser-a", "user-a b", "user-" .. ("a"):rep(59), "", "user-a\0",
    } do
        assert(not target.is_service(name), name)
    end
    assert(not target.is_service(nil))
end

function tests.a_peer_is_an_address_and_a_port()
    configured()
    local ip, port = target.peer "10.96.0.7:8000"
    assert(ip == "10.96.0.7" and port == 8000)
    ip, port = target.peer "[fd00::7]:65535"
    assert(ip == "[fd00::7]" and port == 65535)
end

function tests.a_peer_that_cannot_be_is_refused()
    configured(true)
    for _, peer in ipairs {
        "10.96.0.7", "10.96.0.7:", "10.96.0.7:0", "10.96.0.7:65536", "10.96.0.7:8000\n",
        "10.96.0:80", "10.96.0.256:80", "10.96.00.7:80", "fd00::7:80", "[fd00::7", "name:80",
        "0.0.0.0:80", "0.1.2.3:80", "169.254.169.254:80", "224.0.0.1:80", "255.255.255.255:80",
        "[::]:80", "[0:0::0]:80", "[fe80::1]:80", "[FE80::1]:80", "[ff02::1]:80",
        "[::ffff:7f00:1]:80", "[::7f00:1]:80", "", ":80",
    } do
        assert(target.peer(peer) == nil, peer)
    end
    assert(target.peer(nil) == nil)
end

function tests.loopback_is_refused_unless_it_is_allowed()
    local peers = { "127.0.0.1:80", "127.255.255.254:80", "[::1]:80", "[0:0:0:0:0:0:0:1]:80" }
    configured(false)
    for _, peer in ipairs(peers) do
        assert(target.peer(peer) == nil, peer)
    end
    configured(true)
    for _, peer in ipairs(peers) do
        assert(target.peer(peer), peer)
    end
end

function tests.a_username_is_plain_or_percent_encoded()
    for _, name in ipairs { "alice", "a%20b", "a@b.example", "a+b", "a/b", "a-b_c.d~e" } do
        assert(target.is_username(name), name)
    end
    for _, name in ipairs { "", "a b", "a\nb", 'a"b', "ü", "a,b", ("a"):rep(4097) } do
        assert(not target.is_username(name), name)
    end
    assert(not target.is_username(nil))
end

function tests.a_user_id_is_not_empty_and_has_no_blanks()
    assert(target.is_user_id "7")
    assert(target.is_user_id "6f1c9a2e-0000-4000-8000-000000000000")
    assert(not target.is_user_id "a b" and not target.is_user_id "" and not target.is_user_id(nil))
end

function tests.a_quoted_id_is_one()
    assert(target.quoted "a b/ü" == "a%20b%2F%C3%BC")
    assert(target.quoted "a@b+c" == "a@b+c")
    assert(target.is_user_id(target.quoted '"\n\0'))
end

return tests
