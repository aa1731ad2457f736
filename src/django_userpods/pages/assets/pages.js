/* The waiting page: hears or asks how its pod is doing, and is loaded anew when there is something new.
   My pods: shows what has become of pods that are on their way. */
"use strict";
{
    const RELOADS = "userpods-reloads";
    /* Milliseconds. What answered once and then is not there is asked for less and less often, over
       as many reloads as it takes; a minute without one, and it begins at the beginning. */
    const FIRST = 1000, LONGEST = 30000, FORGOTTEN = 60000;
    const SILENT = 20000, SILENT_AT_FIRST = 5000;
    const POLLED_AT_MOST = { failed: 15000 }, POLLED = 5000, FOLLOWED = 3000;
    const page = document.querySelector("main[data-status]");

    const remembered = () => {
        try {
            const { count, at } = JSON.parse(sessionStorage.getItem(RELOADS));
            return Date.now() - at < FORGOTTEN ? count : 0;
        } catch {
            return 0;
        }
    };
    const reload = () => {
        try {
            const count = Math.min(remembered() + 1, 10);
            sessionStorage.setItem(RELOADS, JSON.stringify({ count, at: Date.now() }));
        } catch { /* no storage: it is the pace of a first visit */ }
        location.reload();
    };
    const pause = (time) => new Promise((done) => setTimeout(done, time));

    /* As clocks show it, in every language. */
    const clock = (seconds) =>
        `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
    const parts = () => document.querySelectorAll("#userpods-steps > li");
    /* A step's time as of now; that of the one that is under way goes on. */
    const time = (item, seconds) => {
        const shown = item.querySelector(".time");
        if (!shown) return;
        const isKnown = Number.isFinite(seconds);
        shown.textContent = isKnown ? clock(seconds) : "";
        if (isKnown && item.className === "current") {
            shown.dataset.since = Date.now() - seconds * 1000;
        } else {
            delete shown.dataset.since;
        }
    };
    /* Marks how far it has come. */
    const mark = (steps) => parts().forEach((item, number) => {
        const { status, seconds } = steps[number] ?? { status: "" };
        item.className = status;
        if (status === "current") item.setAttribute("aria-current", "step");
        else item.removeAttribute("aria-current");
        time(item, seconds);
    });
    const tick = () => document.querySelectorAll("#userpods-steps [data-since]").forEach((shown) => {
        shown.textContent = clock((Date.now() - shown.dataset.since) / 1000);
    });
    const count = (shown) => {
        const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(shown.dataset.since)) / 1000));
        /* A clock that is wrong by a day shows nothing. */
        shown.textContent = seconds < 86400 ? `(${clock(seconds)})` : "";
    };
    /* Hears of each change as it comes. Ends with true when there is nothing more to hear, with false
       where no stream is to be had, or something on the way keeps it back: then the page asks. */
    const listen = (address, hear) => new Promise((done) => {
        const source = new EventSource(address);
        let silence;
        const end = (isOver) => {
            clearTimeout(silence);
            source.close();
            done(isOver);
        };
        const alive = (patience) => {
            clearTimeout(silence);
            silence = setTimeout(end, patience, false);
        };
        source.addEventListener("beat", () => alive(SILENT));
        source.addEventListener("message", (event) => {
            alive(SILENT);
            if (hear(JSON.parse(event.data))) end(true);
        });
        /* One that has ended is asked for anew by the browser; one that is refused is not. */
        source.addEventListener("error", () => {
            if (source.readyState === EventSource.CLOSED) end(false);
        });
        /* The first comes at once, or something on the way keeps all of them. */
        alive(SILENT_AT_FIRST);
    });
    let forbidden = false;
    document.addEventListener("securitypolicyviolation", (event) => {
        forbidden ||= event.effectiveDirective === "connect-src";
    });
    const watch = async () => {
        const { state, standing, status, stream } = page.dataset;
        const words = document.getElementById("userpods-message");
        /* Takes what the site says, and tells whether the page is about to be loaded anew. */
        const hear = (found) => {
            const failed = (name) => name === "failed";
            const isNew = failed(found.state) !== failed(state)
                || failed(found.standing) !== failed(standing);
            if (found.state === "running" || isNew) {
                reload();
                return true;
            }
            if (found.steps?.length) mark(found.steps);
            words.textContent = found.message;
            return false;
        };
        let wait = Math.min(FIRST * 2 ** remembered(), LONGEST);
        await pause(wait);
        /* Of a pod that only is said to run a stream would say no more; and a browser has six
           connections to a host, in which tabs that nobody looks at are not to sit. */
        if (stream && !document.hidden && state !== "running" && await listen(stream, hear)) return;
        for (;;) {
            try {
                const answer = await fetch(status, { headers: { Accept: "application/json" } });
                if (answer.status === 401 || answer.status === 403) return reload();
                if (answer.ok && hear(await answer.json())) return;
            } catch {
                /* The site is restarting: try again. Or the page may not ask, so it is loaded. */
                if (forbidden) return reload();
            }
            wait = Math.max(wait, Math.min(wait * 1.5, POLLED_AT_MOST[state] ?? POLLED));
            await pause(wait);
        }
    };

    /* What the cluster says, which takes a moment. */
    const show = async (events) => {
        try {
            const answer = await fetch(events.dataset.events, { headers: { Accept: "text/html" } });
            if (!answer.ok) return;
            const found = new DOMParser().parseFromString(await answer.text(), "text/html");
            events.replaceChildren(...found.body.childNodes);
        } catch { /* The page says why it failed without it. */ }
    };

    if (page) {
        document.querySelector("form[data-again]")?.addEventListener("submit", async (event) => {
            event.preventDefault();
            const button = event.submitter, refused = document.getElementById("userpods-refused");
            button.disabled = true;
            refused.hidden = true;
            try {
                const answer = await fetch(event.target.action, {
                    method: "POST",
                    headers: { Accept: "application/json" },
                });
                /* Of whoever may not come in any more, the page that comes says so. */
                if (answer.ok || answer.status === 401 || answer.status === 403) return reload();
            } catch {
                /* The site is restarting. Or the page may not ask, so the form is sent as it is. */
                if (forbidden) return event.target.submit();
            }
            button.disabled = false;
            refused.hidden = false;
        });
        const shown = document.getElementById("userpods-elapsed");
        if (shown) setInterval(count, 1000, shown);
        parts().forEach((item) => {
            time(item, Number(item.querySelector("[data-seconds]")?.dataset.seconds ?? NaN));
        });
        setInterval(tick, 1000);
        watch();
        const events = document.querySelector("[data-events]");
        if (events) show(events);
    }

    const follow = async (home) => {
        const find = (root) => root.querySelector("#userpods-pods");
        /* Not this page's own: where a form was refused, that is the form's, and for sending alone. */
        const { changes: address } = home.dataset;
        /* What is on its way is asked for soon; one that failed may answer again, less and less. */
        let main = home, wait = FOLLOWED;
        while (main.hasAttribute("data-changes")) {
            wait = main.hasAttribute("data-slowly") ? Math.min(wait * 1.5, LONGEST) : FOLLOWED;
            await pause(wait);
            /* Nobody's typing is swept away. */
            if (document.hidden || find(home)?.contains(document.activeElement)) continue;
            try {
                const answer = await fetch(address, { headers: { Accept: "text/html" } });
                if (!answer.ok) continue;
                const text = await answer.text();
                const page = new DOMParser().parseFromString(text, "text/html");
                const found = find(page);
                if (!found) return;
                find(home).replaceWith(found);
                main = page.querySelector("main");
            } catch { /* The site is restarting: try again. */ }
        }
    };
    const home = document.querySelector("main[data-changes]");
    if (home) follow(home);
}
