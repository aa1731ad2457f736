"""A page of Gradio: an answer that comes word by word."""

import os
import time

import gradio as gr


def count(to):
    """Say one number after the other."""
    words = ""
    for number in range(1, int(to) + 1):
        words += f"{number} "
        yield words
        time.sleep(0.2)


with gr.Blocks(title="Gradio", analytics_enabled=False) as page:
    gr.Markdown(f"# {os.environ.get('USERPODS_USER', 'Nobody')}'s Gradio")
    to = gr.Number(30, label="Count to")
    words = gr.Textbox(label="Counted")
    gr.Button("Count").click(count, to, words)

page.launch(
    server_name=os.environ["LISTEN"],
    server_port=int(os.environ["PORT"]),
    root_path=os.environ.get("USERPODS_PATH", "/").rstrip("/"),
)
