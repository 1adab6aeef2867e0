"""Conversations as tokens: chat templates, with the tokens that the assistant wrote."""

from ._encode import ASSISTANT as ASSISTANT
from ._encode import encode_conversation as encode_conversation
from ._encode import encode_prompt as encode_prompt
from ._messages import Message as Message
from ._messages import checked_messages as checked_messages
from ._messages import checked_tools as checked_tools
