local pages = require "userpods.pages"

local tests = {}

local function leads(request_uri, expected, settings)
    settings = settings or { login_url = "/login/", next_parameter = "next", origin = "" }
    local found = pages.login_address(settings, request_uri)
    assert(found == expected, ("%q gave %q, not %q"):format(request_uri, found, expected))
end

function tests.the_path_and_the_query_come_back()
    leads("/", "/login/?next=%2F")
    leads("/a/b?x=1&y=2", "/login/?next=%2Fa%2Fb%3Fx%3D1%26y%3D2")
end

function tests.it_never_leaves_the_site()
    leads("//evil.example/x", "/login/?next=%2Fevil.example%2Fx")
    leads("///evil.example", "/login/?next=%2Fevil.example")
    leads("/\\evil.example", "/login/?next=%2Fevil.example")
    leads("http://evil.example/x", "/login/?next=%2Fx")
    leads("http://evil.example//evil.example", "/login/?next=%2Fevil.example")
    leads("/./\\evil.example", "/login/?next=%2F")
    leads("/ /evil.example", "/login/?next=%2F")
    leads("/\t/evil.example", "/login/?next=%2F")
end

function tests.a_login_address_may_have_a_query()
    leads("/a", "/login?via=sso&next=%2Fa",
        { login_url = "/login?via=sso", next_parameter = "next", origin = "" })
end

function tests.a_login_elsewhere_comes_back_to_the_origin()
    leads("/a", "https://sso.example/?rd=https%3A%2F%2Fpods.example%2Fa",
        {
            login_url = "https://sso.example/", next_parameter = "rd",
            origin = "https://pods.example",
        })
end

return tests
