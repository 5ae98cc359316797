// Drives a live gateway with the official openai package and prints what it saw, one JSON object by check.
// Environment: OPENAI_BASE_URL (ends in /v1), OPENAI_API_KEY. Judging is the caller's job.
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0, timeout: 20_000 });
const messages = [{ role: "user", content: "Tell me about rivers." }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

async function readStream(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return {
    text: chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join(""),
    ids: new Set(chunks.map((chunk) => chunk.id)).size,
    finish: chunks.map((chunk) => chunk.choices[0]?.finish_reason).filter(Boolean),
    withoutChoices: chunks.filter((chunk) => chunk.choices.length === 0).length,
    usage: chunks.map((chunk) => chunk.usage).filter(Boolean),
    model_used: chunks.at(-1).model_used,
  };
}

async function failure(attempt) {
  try {
    await attempt();
  } catch (error) {
    const { status, type, param, code } = error;
    return { class: error.constructor.name, status, type, param, code };
  }
  return { class: null };
}

const checks = {
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return ids;
  },
  async chat() {
    const { data, response } = await client.chat.completions.create({ model: "gpt-4o", messages }).withResponse();
    const { choices, usage, model_used, business_metrics } = data;
    return { message: choices[0].message, usage, model_used, business_metrics, request_id: response.headers.get("x-nr-request-id") };
  },
  async stream() {
    return readStream(await client.chat.completions.create({ model: "gpt-4o", messages, stream: true }));
  },
  async stream_with_usage() {
    const stream_options = { include_usage: true };
    return readStream(await client.chat.completions.create({ model: "gpt-4o", messages, stream: true, stream_options }));
  },
  async stream_helper() {
    const runner = client.chat.completions.stream({ model: "gpt-4o", messages });
    let heard = "";
    runner.on("content", (piece) => (heard += piece));
    const { choices } = await runner.finalChatCompletion();
    return { heard, whole: choices[0].message.content };
  },
  async tool_call() {
    const asked = { model: "gpt-4o", messages, tools: [weather], tool_choice: "required" };
    const { choices } = await client.chat.completions.create(asked);
    return choices[0];
  },
  async streamed_tool_call() {
    const asked = { model: "gpt-4o", messages, tools: [weather], tool_choice: "required" };
    return (await client.chat.completions.stream(asked).finalChatCompletion()).choices[0];
  },
  async tool_loop() {
    const asked = [];
    const get_weather = {
      ...weather,
      function: {
        ...weather.function,
        parse: JSON.parse,
        function: (input) => {
          asked.push(input);
          return "Sunny";
        },
      },
    };
    const runner = client.chat.completions.runTools({ model: "gpt-4o", messages, tools: [get_weather] });
    return { content: await runner.finalContent(), asked, roles: runner.messages.map((message) => message.role) };
  },
  wrong_key: () => failure(() => client.withOptions({ apiKey: "nr_live_wrong" }).models.list()),
  unknown_model: () => failure(() => client.chat.completions.create({ model: "no-such-model", messages })),
  wrong_field: () => failure(() => client.chat.completions.create({ model: "gpt-4o", messages: "not a list" })),
};

const seen = {};
for (const [name, check] of Object.entries(checks)) {
  try {
    seen[name] = await check();
  } catch (error) {
    seen[name] = { error: String(error) };
  }
}
console.log(JSON.stringify(seen));
