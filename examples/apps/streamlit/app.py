"""A page of Streamlit: a slider and a file, each of which changes a text."""

import os

import streamlit as st

st.title(f"{os.environ.get('USERPODS_USER', 'Nobody')}'s Streamlit")
number = st.slider("Number", 0, 100, 50)
st.write(f"The square of {number} is {number * number}.")
upload = st.file_uploader("A file")
if upload is not None:
    st.write(f"{upload.name} has {len(upload.getvalue())} bytes.")
