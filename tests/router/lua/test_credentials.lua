local cookies = require "userpods.cookies"
local credentials = require "userpods.credentials"

local tests = {}

local function credentials_of(cookie, authorization)
    return credentials.of(cookie, authorization, "")
end

local function configured(token_prefix)
    cookies.configure({ "sessionid", "csrftoken" }, { "sessionid", "session" })
    credentials.configure { token_prefix = token_prefix or "upt_" }
end

function tests.only_ours_say_who_is_asking()
    configured()
    local found = credentials_of("a=1; sessionid=x; csrftoken=y; session=z; b=2", "Bearer eyJ0")
    assert(found.cookie == "sessionid=x; session=z" and found.authorization == nil)
    assert(found.rest_cookie == "a=1; b=2" and found.rest_authorization == "Bearer eyJ0")
    assert(#found.key == 20 and not found.is_too_large)
end

function tests.an_applications_own_are_no_credentials()
    configured()
    for _, cookie in ipairs { "a=1", "sessionid2=x", "csrftoken=y", "" } do
        assert(credentials_of(cookie, "Basic YTpi").key == nil, cookie)
    end
    assert(credentials_of(nil, nil).key == nil)
end

function tests.all_of_one_name_stay_in_order()
    configured()
    local found = credentials_of("sessionid=1; a=1; __Host-SessionID=2;sessionid=3", nil)
    assert(found.cookie == "sessionid=1; __Host-SessionID=2; sessionid=3")
    assert(found.key ~= credentials_of("sessionid=3; __Host-SessionID=2; sessionid=1").key)
end

function tests.what_else_is_sent_changes_no_key()
    configured()
    local key = credentials_of("sessionid=x").key
    assert(credentials_of("theme=dark; sessionid=x; b=" .. ("x"):rep(60000)).key == key)
    assert(credentials_of("sessionid=x", "Basic YTpi").key == key)
    assert(credentials_of("sessionid=y").key ~= key)
    assert(credentials_of("sessionid=x", "Bearer upt_a").key ~= key)
end

function tests.a_cookie_cannot_pass_for_a_token()
    configured()
    assert(credentials_of("sessionid=Bearer upt_a").key ~= credentials_of(nil, "Bearer upt_a").key)
end

function tests.a_token_is_ours_however_it_is_dressed()
    configured()
    for _, authorization in ipairs {
        "Bearer upt_x", "BEARER upt_x", " bearer  upt_x", "\160Bearer upt_x", "\133Bearer upt_x",
        "Token upt_x", "Bearer, upt_x", "Bearer x, Bearer upt_x", "upt_x",
        "Basic " .. ngx.encode_base64 "alice:upt_x", "Basic " .. ngx.encode_base64 "upt_x:",
        "Basic " .. ngx.encode_base64("a:upt_x?>", true):gsub("+", "-"):gsub("/", "_"),
    } do
        local found = credentials_of("a=1", authorization)
        assert(found.rest_authorization == "", authorization)
        assert(found.authorization == authorization)
    end
end

function tests.without_a_prefix_every_authorization_may_be_the_sites()
    configured ""
    local found = credentials_of("a=1", "Bearer x")
    assert(found.authorization == "Bearer x" and found.rest_authorization == "")
    found = credentials_of("sessionid=x", "Basic x")
    assert(found.authorization == "Basic x" and found.rest_authorization == "Basic x")
    -- Alone it is what lets the request in.
    found = credentials_of("a=1", "Basic x")
    assert(found.authorization == "Basic x" and found.rest_authorization == "")
end

function tests.a_token_in_a_cookie_of_another_name_is_left_out()
    configured()
    assert(credentials_of("a=1; b=upt_x; sessionid=y").rest_cookie == "a=1")
end

function tests.more_than_django_takes_is_said()
    configured()
    assert(credentials_of("sessionid=" .. ("x"):rep(8100)).is_too_large)
    assert(not credentials_of("sessionid=" .. ("x"):rep(4000)).is_too_large)
end

return tests
