local ffi = require "ffi"
local layout = require "userpods.layout"

local tests = {}

function tests.this_request_is_as_we_think()
    assert(layout.of_request())
end

function tests.another_mark_is_another_layout()
    local request = ffi.new "userpods_request_t[1]"
    local _, problem = layout.of_request(request)
    assert(problem == "a request does not begin with its mark")
end

function tests.a_connection_leads_back_to_its_request()
    local request = ffi.new "userpods_request_t[1]"
    local connection = ffi.new "userpods_connection_t[1]"
    request[0].signature, request[0].connection = 0x50545448, connection
    local _, problem = layout.of_request(request)
    assert(problem == "a connection does not begin with its request")
    -- And its socket is the one that the client came in through.
    connection[0].data = request
    for _, fd in ipairs { -1, 0, 100000 } do
        connection[0].fd = fd
        _, problem = layout.of_request(request)
        assert(problem == "a connection's socket is not where it should be", fd)
    end
end

function tests.headers_are_compared_by_number_and_value()
    ngx.req.set_header("Cookie", "a=1")
    ngx.req.set_header("Authorization", "Basic x")
    local count = 0
    for _ in pairs(ngx.req.get_headers(0)) do
        count = count + 1
    end
    assert(layout.of_headers(count, "a=1", "Basic x"))
    assert(not layout.of_headers(count + 1, "a=1", "Basic x"))
    assert(not layout.of_headers(count, "a=2", "Basic x"))
    assert(not layout.of_headers(count, "a=1", nil))
end

return tests
