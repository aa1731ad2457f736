local cjson = require "cjson.safe"
local internal = require "userpods.internal"
local purges = require "userpods.purges"

local tests = {}

-- What `handler` answers to a request with this method and body: its status and its words.
local function answer(handler, method, body)
    local said
    local stubs = {
        { ngx, "say", function(text) said = text end },
        { ngx.req, "get_method", function() return method end },
        { ngx.req, "read_body", function() end },
        { ngx.req, "get_body_data", function() return body end },
    }
    for _, stub in ipairs(stubs) do
        stub.real = stub[1][stub[2]]
        rawset(stub[1], stub[2], stub[3])
    end
    local ok, problem = pcall(handler)
    for _, stub in ipairs(stubs) do
        rawset(stub[1], stub[2], stub.real)
    end
    assert(ok, problem)
    return ngx.status, cjson.decode(said)
end

function tests.a_router_that_runs_is_healthy_and_ready()
    for _, handler in ipairs { internal.healthz, internal.readyz } do
        local status, words = answer(handler, "GET")
        assert(status == 200 and words.status == "ok")
    end
end

function tests.a_purge_forgets_the_user_whether_their_id_is_a_number_or_a_text()
    for id, body in pairs { ["71"] = '{"user_id": 71}', ["72"] = '{"user_id": "72"}' } do
        local before = purges.get(purges.key(id))
        local status = answer(internal.purge, "POST", body)
        assert(status == 200)
        assert(purges.get(purges.key(id)) ~= before, id)
    end
end

function tests.a_purge_of_nobody_is_refused()
    for _, body in ipairs {
        "", "null", "[]", "7", "{}", '{"user_id": ""}', '{"user_id": 1.5}', '{"user_id": true}',
        '{"user_id": "' .. ("7"):rep(1001) .. '"}', '{"user_id": "7"',
    } do
        local count = purges.count()
        local status, words = answer(internal.purge, "POST", body)
        assert(status == 400 and words.error:find "user_id", body)
        assert(purges.count() == count, body)
    end
end

function tests.a_purge_is_a_post()
    local status = answer(internal.purge, "GET", '{"user_id": "73"}')
    assert(status == 405 and ngx.header["Allow"] == "POST")
    assert(purges.get(purges.key "73") == nil)
end

return tests
