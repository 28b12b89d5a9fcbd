"""How often a judge is wrong: answers are labelled by a person, labels measure the judge, and numbers are corrected.

result -> draw (sheet.csv) -> a person -> calibrate (calibration.json) -> correct: raw and corrected value side by side
"""
