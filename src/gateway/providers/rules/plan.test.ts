import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LanguageModelV4FunctionTool, LanguageModelV4Message } from "@ai-sdk/provider";
import {
  converse,
  everyTool,
  next,
  order,
  sampleTools,
  shopAnswers,
  shopTools,
  tool,
  user,
} from "../../../../test/support/rules-conversation.ts";

async function firstCalls(request: string, offered: LanguageModelV4FunctionTool[]): Promise<unknown[]> {
  const { calls } = await next({ prompt: [user(request)], tools: offered });
  return calls.map(({ tool: name, input }) => [name, input]);
}

const requests: readonly (readonly [string, LanguageModelV4FunctionTool[], unknown[]])[] = [
  ["Where is order A-1042?", shopTools, [["find_order", { orderId: "A-1042" }]]],
  ["a-1042?", shopTools, [["find_order", { orderId: "A-1042" }]]],
  ["Please look up order number 1042", shopTools, [["find_order", { orderId: "A-1042" }]]],
  [
    "Where are A-1042 and A-1043?",
    shopTools,
    [
      ["find_order", { orderId: "A-1042" }],
      ["find_order", { orderId: "A-1043" }],
    ],
  ],
  ["List the orders of ann@example.com", shopTools, [["list_orders", { email: "ann@example.com" }]]],
  [
    "Which orders of ann@example.com were shipped?",
    shopTools,
    [["list_orders", { email: "ann@example.com", status: "shipped" }]],
  ],
  [
    "Refund $80 of order A-1042, it arrived broken",
    shopTools,
    [["refund", { orderId: "A-1042", amountUsd: 80, reason: "it arrived broken" }]],
  ],
  [
    "Can you refund 12.50 dollars for A-1042 because the lid was cracked?",
    shopTools,
    [["refund", { orderId: "A-1042", amountUsd: 12.5, reason: "the lid was cracked" }]],
  ],
  [
    "I would like a refund of 1,250 USD for order A-1042",
    shopTools,
    [["refund", { orderId: "A-1042", amountUsd: 1250 }]],
  ],
  ["What is your refund policy?", shopTools, [["find_policy", { query: "refund policy" }]]],
  ["How long is the warranty?", shopTools, [["find_policy", { query: "long warranty" }]]],
  [
    "Email ann@example.com that the parcel left today and will arrive on Monday",
    shopTools,
    [
      [
        "send_email",
        {
          to: "ann@example.com",
          subject: "The parcel left today and will arrive on Monday",
          body: "The parcel left today and will arrive on Monday.",
        },
      ],
    ],
  ],
  [
    'Send an email to ann@example.com with the subject "Hello" saying "See you soon."',
    shopTools,
    [["send_email", { to: "ann@example.com", subject: "Hello", body: "See you soon." }]],
  ],
  ["What is the weather in Oslo?", everyTool, [["get_weather", { city: "Oslo" }]]],
  [
    "Show me the weather in New York in fahrenheit",
    everyTool,
    [["get_weather", { city: "New York", units: "fahrenheit" }]],
  ],
  ['Translate "good morning" into Greek', everyTool, [["translate", { text: "good morning", language: "Greek" }]]],
  ["Convert 250 EUR to USD", everyTool, [["convert_currency", { amount: 250, from: "EUR", to: "USD" }]]],
  [
    "Open a high priority ticket: the printer is on fire",
    everyTool,
    [["create_ticket", { title: "The printer is on fire", description: "The printer is on fire.", priority: "high" }]],
  ],
  ["Close ticket TK-17", everyTool, [["close_ticket", { ticketId: "TK-17" }]]],
  [
    "Book a room in Lisbon from 2026-12-03 to 2026-12-06 for 2 guests with breakfast",
    everyTool,
    [["book_room", { city: "Lisbon", checkIn: "2026-12-03", checkOut: "2026-12-06", guests: 2, breakfast: true }]],
  ],
  [
    "Please book a room in Lisbon from March 3, 2027 until 6 March 2027 for three guests, without breakfast",
    everyTool,
    [["book_room", { city: "Lisbon", checkIn: "2027-03-03", checkOut: "2027-03-06", guests: 3, breakfast: false }]],
  ],
  ["Show invoice 4711", everyTool, [["getInvoice", { invoiceNumber: 4711 }]]],
  [
    "Transfer $19.99 to account DE12345678",
    everyTool,
    [["transfer_money", { amountCents: 1999, account: "DE12345678" }]],
  ],
  ['Delete the file "notes/old.txt"', everyTool, [["delete_file", { path: "notes/old.txt" }]]],
  ["List the first 5 files", everyTool, [["list_files", { limit: 5 }]]],
  ["Compare orders A-1001 and A-1002", everyTool, [["compare_orders", { orderIds: ["A-1001", "A-1002"] }]]],
  ["Cancel order A-1001", everyTool, [["cancel_order", { orderId: "A-1001" }]]],
  ["Fetch https://example.com/page?id=1.", everyTool, [["fetch_page", { url: "https://example.com/page?id=1" }]]],
  [
    "Find order A-1001 and tell me about the refund policy",
    shopTools,
    [
      ["find_order", { orderId: "A-1001" }],
      ["find_policy", { query: "refund policy" }],
    ],
  ],
  ["Did you cancel order A-1001?", everyTool, [["find_order", { orderId: "A-1001" }]]],
  ["Hello!", everyTool, []],
  ["Sing me a song about the sea", everyTool, []],
];

describe("what a request calls first", () => {
  for (const [request, offered, expected] of requests) {
    test(request, async () => assert.deepEqual(await firstCalls(request, offered), expected));
  }
});

describe("a conversation", () => {
  test("reads the order before it refunds a sum that nobody named", async () => {
    const { made, last } = await converse(["Find order 1042 and refund it"], { answers: shopAnswers });
    assert.deepEqual(made, [
      [
        ["find_order", { orderId: "A-1042" }],
        ["refund", { orderId: "A-1042", amountUsd: 82 }],
      ],
    ]);
    assert.match(last, /Done: refund \(order id A-1042, amount USD 82\)/u);
  });

  test("reads the order to learn the address of its customer", async () => {
    const { made } = await converse(["Email the customer of A-1042 that a replacement is on its way"], {
      answers: shopAnswers,
    });
    const email = {
      to: "ann@example.com",
      subject: "A replacement is on its way",
      body: "A replacement is on its way.",
    };
    assert.deepEqual(made, [
      [
        ["find_order", { orderId: "A-1042" }],
        ["send_email", email],
      ],
    ]);
  });

  test("does several things in the order they were said", async () => {
    const { made } = await converse(["Look up A-1042, refund $10, then let the customer know that we are sorry"], {
      answers: shopAnswers,
    });
    assert.deepEqual(
      made[0]?.map(([name]) => name),
      ["find_order", "refund", "send_email"],
    );
  });

  test("takes the price of the item that is named", async () => {
    const { made } = await converse(["Refund the mug of order A-1042"], { answers: shopAnswers });
    assert.deepEqual(made[0]?.at(-1), ["refund", { orderId: "A-1042", amountUsd: 12 }]);
  });

  test("gives each of two orders its own sum", async () => {
    const answers = {
      ...shopAnswers,
      find_order: ({ orderId }: { orderId: string }) => ({ id: orderId, totalUsd: orderId === "A-1001" ? 11 : 22 }),
    };
    const { made } = await converse(["Refund orders A-1001 and A-1002"], { answers });
    assert.deepEqual(made[0]?.slice(2), [
      ["refund", { orderId: "A-1001", amountUsd: 11 }],
      ["refund", { orderId: "A-1002", amountUsd: 22 }],
    ]);
  });

  test("does not refund a total when nothing is left", async () => {
    const answers = { ...shopAnswers, find_order: () => ({ id: "A-1042", totalUsd: 82, refundableUsd: 0 }) };
    const { made, last } = await converse(["Refund order A-1042"], { answers });
    assert.deepEqual(made, [[["find_order", { orderId: "A-1042" }]]]);
    assert.match(last, /I need to know the amount USD/u);
  });

  test("follows a chain of reads to an address", async () => {
    const findCustomer = tool("find_customer", "Look up a customer by id.", { customerId: { type: "string" } });
    const answers = {
      ...shopAnswers,
      find_order: () => ({ id: "A-1042", customerId: "C-7" }),
      find_customer: () => ({ id: "C-7", email: "bo@example.com" }),
    };
    const { made } = await converse(['Email the customer of order A-1042: "Hello."'], {
      offered: [...shopTools, findCustomer],
      answers,
    });
    assert.deepEqual(made[0]?.slice(1), [
      ["find_customer", { customerId: "C-7" }],
      ["send_email", { to: "bo@example.com", subject: "Hello", body: "Hello." }],
    ]);
  });

  test("knows what “it” is from the turn before", async () => {
    const { made } = await converse(["Where is order A-1042?", "Refund it", "What did it cost?"], {
      answers: shopAnswers,
    });
    assert.deepEqual(made[1], [
      ["find_order", { orderId: "A-1042" }],
      ["refund", { orderId: "A-1042", amountUsd: 82 }],
    ]);
    assert.deepEqual(made[2], [["find_order", { orderId: "A-1042" }]]);
  });

  test("knows an order from what was said alone", async () => {
    const prompt = [
      user("My order is A-1042"),
      { role: "assistant" as const, content: [{ type: "text" as const, text: "Thank you." }] },
      user("Please cancel it"),
    ];
    const { calls } = await next({ prompt, tools: [sampleTools.cancelOrder, sampleTools.findPolicy] });
    assert.deepEqual(
      calls.map(({ input }) => input),
      [{ orderId: "A-1042" }],
    );
  });

  test("knows what the task was submitted with", async () => {
    const context = JSON.stringify({ order: { id: "A-1042" }, customer: { email: "ann@example.com" } }, null, 2);
    const { made } = await converse([`Refund $5 of my order, then tell me the policy\n\nContext:\n${context}`], {
      answers: shopAnswers,
    });
    assert.deepEqual(made[0]?.[0], ["refund", { orderId: "A-1042", amountUsd: 5 }]);
  });

  test("asks which one if there are several, and takes the one that is picked", async () => {
    const { made, last } = await converse(["List the orders of ann@example.com", "Refund it"], {
      answers: shopAnswers,
    });
    assert.deepEqual(made[1], []);
    assert.match(last, /which of A-1001, A-1009\?/u);
    for (const [choice, id] of [
      ["Refund the first one", "A-1001"],
      ["Refund the latest order", "A-1009"],
    ] as const) {
      const picked = await converse(["List the orders of ann@example.com", choice], { answers: shopAnswers });
      assert.deepEqual(picked.made[1]?.[0], ["find_order", { orderId: id }]);
    }
  });

  test("asks for what is missing and carries on with the reply", async () => {
    const { made, last } = await converse(["Refund $5 of my order", "It is A-1042"], { answers: shopAnswers });
    assert.deepEqual(made, [[], [["refund", { orderId: "A-1042", amountUsd: 5 }]]]);
    assert.match(last, /^Done: refund/u);
  });

  test("asks what an email shall say and sends the reply", async () => {
    const { made } = await converse(["Send an email to ann@example.com", "Tell her that the lamp is ready."], {
      answers: shopAnswers,
    });
    assert.deepEqual(made, [
      [],
      [["send_email", { to: "ann@example.com", subject: "The lamp is ready", body: "The lamp is ready." }]],
    ]);
  });

  test("asks for the sum if only a part is to be refunded", async () => {
    const { made } = await converse(["Refund half of order A-1042", "$41"], { answers: shopAnswers });
    assert.deepEqual(made, [[], [["refund", { orderId: "A-1042", amountUsd: 41 }]]]);
  });

  test("stops at an error, says it, and says what it left undone", async () => {
    const answers = {
      ...shopAnswers,
      find_order: () => {
        throw new Error("There is no order A-9999.");
      },
    };
    const { made, last } = await converse(["Find order A-9999 and refund $5"], { answers });
    assert.deepEqual(made, [[["find_order", { orderId: "A-9999" }]]]);
    assert.match(last, /failed: There is no order A-9999\./u);
    assert.match(last, /did not go on to: refund/u);
  });

  test("says that an approval was denied, with the comment", async () => {
    for (const output of [
      { type: "error-text" as const, value: "denied: A human denied this call: the sum is too high" },
      { type: "execution-denied" as const, reason: "the sum is too high" },
    ]) {
      const call = {
        type: "tool-call" as const,
        toolCallId: "call_1",
        toolName: "refund",
        input: { orderId: "A-1042", amountUsd: 80 },
      };
      const result = { type: "tool-result" as const, toolCallId: "call_1", toolName: "refund", output };
      const prompt: LanguageModelV4Message[] = [
        user("Refund $80 of A-1042"),
        { role: "assistant", content: [call] },
        { role: "tool", content: [result] },
      ];
      const { calls, text } = await next({ prompt, tools: shopTools });
      assert.deepEqual(calls, []);
      assert.match(text, /^I did not do refund .*the sum is too high/u);
    }
  });

  test("does not repeat a call whose input a human edited", async () => {
    const call = {
      type: "tool-call" as const,
      toolCallId: "call_1",
      toolName: "refund",
      input: { orderId: "A-1042", amountUsd: 60 },
    };
    const result = {
      type: "tool-result" as const,
      toolCallId: "call_1",
      toolName: "refund",
      output: { type: "json" as const, value: { refundId: "R-1" } },
    };
    const prompt: LanguageModelV4Message[] = [
      user("Refund $80 of A-1042"),
      { role: "assistant", content: [call] },
      { role: "tool", content: [result] },
    ];
    const { calls, text } = await next({ prompt, tools: shopTools });
    assert.deepEqual(calls, []);
    assert.match(text, /amount USD 60/u);
  });

  test("takes up a task that another model began", async () => {
    const call = {
      type: "tool-call" as const,
      toolCallId: "toolu_9",
      toolName: "find_order",
      input: { orderId: "A-1042" },
    };
    const result = {
      type: "tool-result" as const,
      toolCallId: "toolu_9",
      toolName: "find_order",
      output: { type: "text" as const, value: JSON.stringify(order) },
    };
    const prompt: LanguageModelV4Message[] = [
      user("Refund order A-1042"),
      { role: "assistant", content: [{ type: "text", text: "Let me look." }, call] },
      { role: "tool", content: [result] },
    ];
    const { calls } = await next({ prompt, tools: shopTools });
    assert.deepEqual(calls, [{ id: "call_1", tool: "refund", input: { orderId: "A-1042", amountUsd: 82 } }]);
  });
});

describe("what changes something is called only when it is ordered", () => {
  const harmless = [
    "Don't refund A-1042",
    "Do not refund A-1042",
    "No refund for A-1042",
    "Never refund A-1042",
    "My refund for A-1042 has not arrived",
    "Refund for A-1042 is late",
    "Should I refund A-1042?",
    "What happens if I refund A-1042?",
    "I want to know if you can refund A-1042",
    "Get the refund status of A-1042",
    "I need help with the refund of A-1042",
    "I never asked for a refund of A-1042",
    "I have to say the refund of A-1042 was quick",
    "Refund A-1042 if it was delivered",
    "Check A-1042 and, if it was delivered, refund $15",
    "Refund eighty dollars of A-1042",
    "Refund 2 mugs of A-1042",
    "Refund 10% of A-1042",
    "Cancel order A-1042",
  ];
  for (const request of harmless) {
    test(request, async () => {
      const { made } = await converse([request], { answers: shopAnswers });
      assert.deepEqual(
        made.flat().filter(([name]) => !/^(?:find|list)_/u.test(name)),
        [],
      );
    });
  }

  test("a condition is handed back to the user", async () => {
    const { last } = await converse(["Refund $5 of A-1042 if it was delivered"], { answers: shopAnswers });
    assert.match(last, /^I did not use refund: .*tell me plainly/u);
  });
});
