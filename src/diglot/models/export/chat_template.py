"""A chat template for messages with images: the language model's own behind a short prelude.

The prelude writes each message's parts as one text, an image as the image token and a newline, as
LLaVA does; the model's own template then does the rest.
"""

from diglot.models.export.container import IMAGE_TOKEN

PRELUDE = """\
{%- set flat = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- if message['content'] is string or message['content'] is none -%}
{%- set flat.messages = flat.messages + [message] -%}
{%- else -%}
{%- set written = namespace(text='') -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{%- set written.text = written.text + 'IMAGE_TOKEN\\n' -%}
{%- elif part['type'] == 'text' -%}
{%- set written.text = written.text + part['text'] -%}
{%- else -%}
{{- raise_exception('a part is an image or text, got ' ~ part['type']) -}}
{%- endif -%}
{%- endfor -%}
{%- set flat.messages = flat.messages + [dict(message, content=written.text)] -%}
{%- endif -%}
{%- endfor -%}
{%- set messages = flat.messages -%}
"""

# Vicuna's and LLaVA-1.5's turns, for a language model that brings no template.
PLAIN = """\
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}{{ message['content'] + ' ' }}
{%- elif message['role'] == 'user' -%}{{ 'USER: ' + message['content'] + ' ' }}
{%- else -%}{{ 'ASSISTANT: ' + message['content'] + (eos_token or '') }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}
"""


# What PaliGemma's processor makes of a prompt, and the suffix that it is trained on behind it.
PALIGEMMA = """\
{%- set written = namespace(text='', images=0) -%}
{%- for message in messages -%}
{%- if message['role'] != ['user', 'assistant'][loop.index0] -%}
{{- raise_exception('PaliGemma reads one question and one answer') -}}
{%- endif -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}
{%- set written.images = written.images + 1 -%}
{%- set written.text = written.text + 'IMAGE_TOKEN' -%}
{%- else -%}
{%- set written.text = written.text + part['text'] -%}
{%- endif -%}
{%- endfor -%}
{%- set written.text = written.text + ('\\n' if message['role'] == 'user' else eos_token) -%}
{%- endfor -%}
{%- if written.images != 1 -%}
{{- raise_exception('PaliGemma reads one image') -}}
{%- endif -%}
{{- written.text -}}
{%- if add_generation_prompt -%}{%- endif -%}
""".replace("IMAGE_TOKEN", IMAGE_TOKEN)


# What PaliGemma's processor is given: it writes BOS and newline by itself.
PALIGEMMA_PROMPT = """\
{%- for message in messages -%}
{%- if message['role'] != 'user' or not loop.first -%}
{{- raise_exception('PaliGemma reads one question') -}}
{%- endif -%}
{%- if message['content'] is string -%}{{- message['content'] -}}{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}{{- 'IMAGE_TOKEN' -}}{%- else -%}{{- part['text'] -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
""".replace("IMAGE_TOKEN", IMAGE_TOKEN)


def image_template(template: str | None, written: str = IMAGE_TOKEN) -> str:
    """The template with images as `written`; one that handles images already stays as it is."""
    if template and written in template:
        return template
    return PRELUDE.replace("IMAGE_TOKEN", written) + (template or PLAIN)
