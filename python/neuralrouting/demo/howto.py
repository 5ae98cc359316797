"""How to try the running gateway: the same request by curl, Python, Node and LangChain."""

from neuralrouting.demo.child import Child


def how_to_try(child: Child) -> str:
    """Return text to copy from, with the real address and key."""
    url, key = f"{child.url}/v1", child.api_key
    return f"""
The gateway serves on; Ctrl-C stops it. Reference: {child.url}/docs

curl
  curl {url}/chat/completions -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model":"auto","messages":[{{"role":"user","content":"Say hello in French"}}]}}'

Python (pip install openai)
  from openai import OpenAI
  client = OpenAI(base_url="{url}", api_key="{key}")
  answer = client.chat.completions.create(
      model="auto", messages=[{{"role": "user", "content": "Say hello in French"}}])
  print(answer.choices[0].message.content, answer.model_extra["business_metrics"])

Node (npm install openai)
  import OpenAI from "openai";
  const client = new OpenAI({{ baseURL: "{url}", apiKey: "{key}" }});
  const answer = await client.chat.completions.create({{
    model: "auto", messages: [{{ role: "user", content: "Say hello in French" }}] }});
  console.log(answer.choices[0].message.content);

LangChain (pip install langchain-openai)
  from langchain_openai import ChatOpenAI
  model = ChatOpenAI(base_url="{url}", api_key="{key}", model="auto")
  print(model.invoke("Say hello in French").content)
"""
