"""Passages with names that are spelt in several ways, and equal ones."""

PASSAGES = [
    {"id": "lodz", "contents": '"Łódź"\nŁódź is a city in Poland.', "links": ["pl"]},
    {"id": "pl", "contents": '"Poland"\nPoland is a country. Its capital is Warsaw.'},
    {"id": "sao", "contents": '"São Tomé"\nSão Tomé is the capital of São Tomé and Príncipe.'},
    {"id": "twin-a", "contents": '"Springfield"\nSpringfield is a town.'},
    {"id": "twin-b", "contents": '"Springfield"\nSpringfield is a town.'},
    {"id": "twin-c", "contents": '"Springfield"\nSpringfield is a town.'},
    {"id": "tokyo", "contents": '"東京"\n東京は日本の首都。'},
]


def find(index, query, topk=3):
    return [PASSAGES[place]["id"] for place, _ in index.rank(query, topk)]
