local clock = require "userpods.clock"
local layout = require "userpods.layout"

local tests = {}

-- The module anew, in a worker whose nginx is as we think, or is not.
local function fresh(is_known)
    package.loaded["userpods.running_requests"] = nil
    local of_request = layout.of_request
    if not is_known then
        layout.of_request = function()
            return nil, "another"
        end
    end
    local module = require "userpods.running_requests"
    return module, function()
        layout.of_request = of_request
        package.loaded["userpods.running_requests"] = nil
    end
end

local function entry(user_id, peer)
    return {
        user_id = user_id, owner_id = user_id, peer = peer, user = user_id, asked = clock.now(),
    }
end

function tests.the_target_is_kept_either_way()
    for _, is_known in ipairs { true, false } do
        local module, restore = fresh(is_known)
        local its = entry("1", "p:1")
        module.begin(its, true)
        local found, is_websocket = module.current()
        restore()
        assert(found == its and is_websocket)
    end
end

function tests.a_request_that_goes_to_no_pod_has_no_target()
    local module, restore = fresh(true)
    module.begin(entry("1", "p:1"), false)
    module.forget()
    local found = module.current()
    restore()
    assert(found == nil)
end

function tests.only_another_users_request_at_the_same_address_runs_elsewhere()
    local module, restore = fresh(true)
    module.begin(entry("1", "p:1"), false)
    local same, other, elsewhere = module.runs_elsewhere(entry("1", "p:1")),
        module.runs_elsewhere(entry("2", "p:1")), module.runs_elsewhere(entry("2", "p:2"))
    restore()
    assert(not same and other and not elsewhere)
end

function tests.where_it_cannot_be_known_it_runs()
    local module, restore = fresh(false)
    module.begin(entry("1", "p:1"), false)
    local runs = module.runs_elsewhere(entry("2", "p:2"))
    restore()
    assert(runs)
end

return tests
