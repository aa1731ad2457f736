/* Keeps the page of a bulk run current, until nothing is to come any more: the page is read again,
   and what has changed of it takes the place of what is shown. */
"use strict";
{
    const SHORTEST = 2000, LONGEST = 30000;
    let pause = SHORTEST;

    const take = (part, id) => {
        const now = document.getElementById(id), next = part.getElementById(id);
        if (!now || !next || now.dataset.stamp === next.dataset.stamp) return;
        const focused = now.contains(document.activeElement) ? document.activeElement.id : "";
        const opened = [...now.querySelectorAll("details[open]")].map((details) => details.id);
        now.replaceWith(next);
        for (const opener of opened) document.getElementById(opener)?.setAttribute("open", "");
        if (focused) document.getElementById(focused)?.focus();
    };

    const show = (text) => {
        const page = new DOMParser().parseFromString(text, "text/html");
        const run = page.getElementById("userpods-run");
        if (!run) throw new Error("this is another page");
        const now = document.getElementById("userpods-run-summary");
        const next = page.getElementById("userpods-run-summary");
        // Kept, not replaced: what is read aloud is what changes in it.
        if (now.textContent !== next.textContent) now.replaceChildren(...next.childNodes);
        take(page, "userpods-run-progress");
        take(page, "userpods-run-failures");
        return "open" in run.dataset;
    };

    const refresh = async () => {
        let goesOn = true;
        try {
            const answer = await fetch(location.href, { redirect: "error" });
            if (!answer.ok) throw new Error(answer.statusText);
            goesOn = show(await answer.text());
            pause = SHORTEST;
        } catch {
            pause = Math.min(2 * pause, LONGEST);
        }
        if (goesOn) setTimeout(refresh, pause);
    };
    setTimeout(refresh, pause);
}
