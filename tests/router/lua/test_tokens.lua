local tokens = require "userpods.tokens"

local tests = {}

function tests.a_token_is_known_in_any_dress()
    tokens.configure "upt_"
    local basic = ngx.encode_base64 "alice:upt_secret"
    local url = ngx.encode_base64("\255\254upt_secret"):gsub("+", "-"):gsub("/", "_")
    for _, value in ipairs {
        "Bearer upt_x", "BEARER upt_x", " bearer  upt_x", "\160Bearer upt_x", "\133Bearer upt_x",
        "Bearer\160upt_x", "Bearer, upt_x", "Bearer,upt_x", "Token upt_x", "upt_x", 'X "upt_x"',
        "Digest a=1, token=upt_x", "Bearer upt%5Fx", "%75%70%74%5f", "X upt%5fx",
        "Basic " .. basic, "basic " .. basic:gsub("=", ""), "Bearer " .. url,
        "Basic " .. ngx.escape_uri(basic), "X a=" .. basic .. ", b=c",
    } do
        assert(tokens.is_held_by(value), value)
    end
end

function tests.what_is_none_is_not_taken_for_one()
    tokens.configure "upt_"
    for _, value in ipairs {
        "Bearer eyJhbGciOi.x.y", "Basic YTpi", "Token abc", 'Digest username="a"', "upt",
        "Bearer UPT_x", "A", "====", "%", "%zz", "",
    } do
        assert(not tokens.is_held_by(value), value)
    end
end

function tests.cookies_of_any_name_lose_a_token()
    tokens.configure "upt_"
    assert(tokens.strip "" == "")
    assert(tokens.strip "a=1; b=2" == "a=1; b=2")
    assert(tokens.strip "a=1; t=upt_x; b=2" == "a=1; b=2")
    assert(tokens.strip "a=%75pt_x; b=2; upt_x" == "b=2")
    assert(tokens.strip("a=" .. ngx.encode_base64 "upt_x") == "")
    tokens.configure ""
    assert(tokens.strip "a=1" == "a=1")
end

return tests
